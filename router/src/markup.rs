//! Writes XML by hand, where s3s's serializer does not have the shape that S3 has.

/// XML under construction.
#[derive(Debug)]
pub struct Markup(String);

impl Markup {
    /// With the declaration.
    pub fn new() -> Self {
        Self("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned())
    }

    /// Opens an element.
    pub fn open(&mut self, name: &str) -> &mut Self {
        self.0.push('<');
        self.0.push_str(name);
        self.0.push('>');
        self
    }

    /// Opens the outermost element of an S3 answer.
    pub fn open_root(&mut self, name: &str) -> &mut Self {
        self.0.push('<');
        self.0.push_str(name);
        self.0.push_str(" xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
        self
    }

    /// Closes an element.
    pub fn close(&mut self, name: &str) -> &mut Self {
        self.0.push_str("</");
        self.0.push_str(name);
        self.0.push('>');
        self
    }

    /// An element with text in it.
    pub fn element(&mut self, name: &str, value: &str) -> &mut Self {
        self.open(name);
        for character in value.chars() {
            match character {
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '&' => self.0.push_str("&amp;"),
                '"' => self.0.push_str("&quot;"),
                '\t' | '\n' => self.0.push(character),
                // As it is, it would be read as the end of a line.
                '\r' => self.0.push_str("&#13;"),
                // Other control characters do not exist in XML 1.0, not even as references.
                character if character.is_control() => self.0.push('\u{fffd}'),
                character => self.0.push(character),
            }
        }
        self.close(name)
    }

    /// What was written.
    pub fn finish(self) -> String {
        self.0
    }
}

impl Default for Markup {
    fn default() -> Self {
        Self::new()
    }
}
