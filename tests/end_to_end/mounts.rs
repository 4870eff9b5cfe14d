//! A disk that is not mounted when its node starts.

use std::time::{Duration, Instant};

use aws_sdk_s3::primitives::ByteStream;
use vaultaire_tests::server::{Options, Server};

use crate::console::on;

const BACK_MAX: Duration = Duration::from_secs(60);

/// One dead backend never takes a node out: its objects wait, everything else goes on, and it is taken up again.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_runs_without_a_disk_that_is_not_mounted() {
    let mut server = Server::start(Options::default());
    let bucket = server.bucket().to_owned();
    let put = server.client().put_object().bucket(&bucket).key("kept");
    put.body(ByteStream::from(vec![7; 10_000])).send().await.expect("PUT");
    assert!(server.stop().success());
    let hot = server.data_dir().join("backends").join("hot");
    let aside = hot.with_extension("aside");
    std::fs::rename(&hot, &aside).expect("a folder can be moved");
    std::fs::create_dir(&hot).expect("an empty mount point");
    let server = server.restart();
    let client = server.client();
    let head = client.head_object().bucket(&bucket).key("kept").send().await.expect("HEAD");
    assert_eq!(head.content_length(), Some(10_000));
    let once = aws_sdk_s3::config::Builder::default()
        .retry_config(aws_sdk_s3::config::retry::RetryConfig::disabled());
    let get = client.get_object().bucket(&bucket).key("kept");
    let refused = get.customize().config_override(once).send().await.expect_err("no bytes");
    let status = refused.raw_response().map(|response| response.status().as_u16());
    let said = format!("{:?}", refused.into_service_error());
    assert!(status == Some(503) && said.contains("cannot be reached"), "{status:?} {said}");
    let list = on(&server, &["backend", "list", "--json"]).done().json();
    let hot_row = &list["backends"][0];
    assert_eq!((&hot_row["name"], &hot_row["configured"]), (&"hot".into(), &false.into()));
    assert!(hot_row["problem"].as_str().is_some_and(|why| why.contains("lost")), "{list}");
    on(&server, &["backend", "check", "hot"]).refused(1, &["hot", "cannot be reached"]);
    on(&server, &["status"]).done();
    std::fs::remove_dir(&hot).expect("it is still empty");
    std::fs::rename(&aside, &hot).expect("a folder can be moved");
    let deadline = Instant::now() + BACK_MAX;
    loop {
        let list = on(&server, &["backend", "list", "--json"]).done().json();
        if list["backends"][0]["configured"] == true {
            break;
        }
        assert!(Instant::now() < deadline, "it was not taken up again: {list}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let got = client.get_object().bucket(&bucket).key("kept").send().await.expect("GET");
    assert_eq!(got.body.collect().await.expect("body").into_bytes().len(), 10_000);
    on(&server, &["verify", "--json"]).done();
}
