//! Putting foreign text and bytes into HTML safely.

/// Text for an HTML element or a quoted attribute.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Invalid in HTML even as a reference.
            '\0' => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}

/// A part of the page that can be linked to.
pub struct Section {
    /// The id of its heading.
    pub id: &'static str,
    /// Its heading.
    pub title: String,
    /// Everything below the heading.
    pub body: String,
}

impl Section {
    /// A section; none where there is nothing to show.
    pub fn new(id: &'static str, title: &str, body: String) -> Option<Self> {
        let title = title.to_owned();
        (!body.is_empty()).then_some(Self { id, title, body })
    }

    /// As an element.
    pub fn html(&self) -> String {
        let Self { id, title, body } = self;
        let title = escape(title);
        format!(
            "<section id=\"{id}-section\" aria-labelledby=\"{id}\">\n<h2 id=\"{id}\">{title}</h2>\n{body}</section>\n"
        )
    }
}

/// The paragraphs of a plain text, which empty lines part.
pub fn paragraphs(text: &str) -> impl Iterator<Item = &str> {
    let parts = text.split("\n\n").map(str::trim);
    parts.filter(|paragraph| !paragraph.is_empty())
}

/// A static plot that scrolls by itself where the page is narrow, by keyboard too. `svg` is SVG, `label` plain text.
pub fn scrolling(svg: &str, label: &str) -> String {
    let label = escape(label);
    format!("<div class=\"plot\" role=\"region\" aria-label=\"{label}\" tabindex=\"0\">{svg}</div>")
}

/// A figure with its caption below. `content` is HTML, `caption` plain text.
pub fn figure(content: &str, caption: &str) -> String {
    format!(
        "<figure>{content}<figcaption>{}</figcaption></figure>\n",
        escape(caption)
    )
}

/// Figures of plots side by side.
pub fn row_of_plots(plots: &str) -> String {
    format!("<div class=\"plots\">{plots}</div>\n")
}

/// An image as a data URI, `alt` plain text; words in its place where it is no PNG.
pub fn image(png: &[u8], alt: &str) -> String {
    match png_size(png) {
        Some((width, height)) => format!(
            "<img alt=\"{}\" width=\"{width}\" height=\"{height}\" src=\"{}\">",
            escape(alt),
            data_uri(png)
        ),
        None => "<p class=\"absent\">not a PNG image</p>".into(),
    }
}

/// A PNG within the page.
pub fn data_uri(png: &[u8]) -> String {
    format!("data:image/png;base64,{}", base64(png))
}

/// Width and height in pixels, from the image's header.
pub fn png_size(png: &[u8]) -> Option<(u32, u32)> {
    let header = png.get(..24)?;
    let number = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    (header.starts_with(b"\x89PNG\r\n\x1a\n") && &header[12..16] == b"IHDR").then(|| (number(16), number(20)))
}

/// JSON for the inside of a `<script>` element: no text in it can end the element or open a comment. The characters
/// replaced occur in JSON only inside strings, where the escape means the same.
pub fn script_json(value: &serde_json::Value) -> String {
    let mut out = String::new();
    for character in value.to_string().chars() {
        match character {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => out.push_str(&format!("\\u{:04x}", u32::from(character))),
            other => out.push(other),
        }
    }
    out
}

/// Base64 with padding (RFC 4648, section 4).
pub fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits = (0..3).fold(0u32, |bits, i| {
            bits << 8 | u32::from(chunk.get(i).copied().unwrap_or(0))
        });
        for i in 0..4 {
            let sextet = (bits >> (18 - 6 * i)) & 63;
            out.push(if i <= chunk.len() {
                char::from(ALPHABET[sextet as usize])
            } else {
                '='
            });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_can_open_an_element_or_leave_an_attribute() {
        assert_eq!(
            escape(r#"<b a="1" c='2'>&"#),
            "&lt;b a=&quot;1&quot; c=&#39;2&#39;&gt;&amp;"
        );
        assert_eq!(escape("naïve\0"), "naïve\u{fffd}");
    }

    #[test]
    fn no_string_can_end_the_script_and_all_read_back_equal() {
        let value = serde_json::json!({ "</script><!--": "a & b \u{2028} \"quoted\" \\" });
        let json = script_json(&value);
        assert!(!json.contains(['<', '>', '&', '\u{2028}']));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap(), value);
    }

    #[test]
    fn base64_agrees_with_the_test_vectors_of_the_rfc() {
        let vectors = ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"];
        for (length, expected) in vectors.iter().enumerate() {
            assert_eq!(base64(&b"foobar"[..length]), *expected);
        }
        assert_eq!(base64(&[0xff, 0xfe, 0xfb]), "//77");
    }
}
