//! The `Authorization` header of SigV4, read in exactly the grammar of s3s 0.14.1, which verifies it: two
//! readers that disagree on one header would let a header count as signed that the signature never covered.

/// What the gate needs to know of the header. The key and the signature are s3s's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authorization<'a> {
    pub region: &'a str,
    /// Names with semicolons between them, as sent.
    pub signed_headers: &'a str,
}

/// The only algorithm. s3s takes whatever stands here for it.
pub const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// Reads `AWS4-HMAC-SHA256 Credential=key/date/region/service/aws4_request, SignedHeaders=a;b, Signature=hex`:
/// these three, once, in this order. None: anything else.
pub fn parse(text: &str) -> Option<Authorization<'_>> {
    let rest = text.strip_prefix(ALGORITHM)?;
    let credential = rest.trim_start_matches(SPACE);
    if credential.len() == rest.len() {
        return None;
    }
    let rest = credential.strip_prefix("Credential=")?;
    // A key may hold a comma, so it is the slashes that count.
    let (_key, rest) = rest.split_once('/')?;
    let (_date, rest) = rest.split_once('/')?;
    let (region, rest) = rest.split_once('/')?;
    let (_service, rest) = rest.split_once('/')?;
    let rest = rest.strip_prefix("aws4_request,")?.trim_start_matches(SPACE);
    let (signed_headers, rest) = rest.strip_prefix("SignedHeaders=")?.split_once(',')?;
    let signature = rest.trim_start_matches(SPACE).strip_prefix("Signature=")?;
    let hexadecimal =
        signature.trim_end_matches(SPACE).bytes().all(|byte| byte.is_ascii_hexdigit());
    hexadecimal.then_some(Authorization { region, signed_headers })
}

const SPACE: [char; 2] = [' ', '\t'];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_credential_one_list_one_signature() {
        let fine = Some(Authorization { region: "eu-1", signed_headers: "host;x-amz-date" });
        let scope = "K/20260101/eu-1/s3/aws4_request";
        for (text, expected) in [
            (
                format!(
                    "AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host;x-amz-date, Signature=0a"
                ),
                fine,
            ),
            (
                format!(
                    "AWS4-HMAC-SHA256   Credential={scope},SignedHeaders=host;x-amz-date,Signature=0a "
                ),
                fine,
            ),
            (
                // s3s takes the key up to the slash, commas and all.
                "AWS4-HMAC-SHA256 Credential=a,SignedHeaders=x/20260101/eu-1/s3/aws4_request, \
                 SignedHeaders=host;x-amz-date, Signature=0a"
                    .to_owned(),
                fine,
            ),
            (
                format!(
                    "AWS4-HMAC-SHA256,SignedHeaders=x Credential={scope}, SignedHeaders=host, Signature=0"
                ),
                None,
            ),
            (
                format!("AWS4-HMAC-SHA256X Credential={scope}, SignedHeaders=host, Signature=0"),
                None,
            ),
            (format!("AWS4-HMAC-SHA256Credential={scope}, SignedHeaders=host, Signature=0"), None),
            (format!("AWS4-HMAC-SHA256 SignedHeaders=host, Credential={scope}, Signature=0"), None),
            (format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host"), None),
            (
                format!(
                    "AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, SignedHeaders=x, Signature=0"
                ),
                None,
            ),
            (
                format!(
                    "AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0, SignedHeaders=x"
                ),
                None,
            ),
        ] {
            assert_eq!(parse(&text), expected, "{text}");
        }
    }
}
