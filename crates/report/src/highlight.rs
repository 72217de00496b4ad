//! What a text of Rust is made of: for lines of code, for `unsafe`, and for
//! colors on a page. The lexer is `proc-macro2`'s, so that no comment or string
//! is taken for code.

use std::ops::Range;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// What a stretch of text is. What is none of these has no class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// `// ...`, `/* ... */`, and those that are documentation.
    Comment,
    /// A string, a character, or several bytes of them.
    Text,
    /// A number.
    Number,
    /// `fn`, `let`, ...
    Keyword,
    /// A type, a trait or a variant: what starts with a capital letter.
    Type,
    /// A function or a method where it is called or defined.
    Function,
    /// A macro where it is called.
    Macro,
    /// `'a`
    Lifetime,
}

impl Class {
    /// Its name as a class of HTML: short, as there are many.
    pub(crate) fn html(self) -> &'static str {
        match self {
            Self::Comment => "c",
            Self::Text => "s",
            Self::Number => "n",
            Self::Keyword => "k",
            Self::Type => "t",
            Self::Function => "f",
            Self::Macro => "m",
            Self::Lifetime => "l",
        }
    }
}

/// A text of Rust, taken apart.
#[derive(Debug)]
pub struct RustCode<'a> {
    text: &'a str,
    /// In the order of the text, none overlapping.
    pieces: Vec<(Range<usize>, Class)>,
    /// Where there is code: every token, as bytes of the text.
    tokens: Vec<Range<usize>>,
    unsafes: usize,
}

impl<'a> RustCode<'a> {
    /// Takes a text apart. `None` if it is not Rust.
    pub fn of(text: &'a str) -> Option<Self> {
        let stream: TokenStream = text.parse().ok()?;
        let mut code = Self {
            text,
            pieces: Vec::new(),
            tokens: Vec::new(),
            unsafes: 0,
        };
        code.add(stream);
        code.add_comments();
        Some(code)
    }

    /// Lines with code on them: neither blank, nor with comments alone. A doc
    /// comment is a comment.
    pub fn lines(&self) -> usize {
        let mut ends = 0;
        let mut counted = 0;
        let mut tokens = self.tokens.iter().peekable();
        for line in self.text.split_inclusive('\n') {
            let start = ends;
            ends += line.len();
            while tokens.next_if(|token| token.end <= start).is_some() {}
            counted += usize::from(tokens.peek().is_some_and(|token| token.start < ends));
        }
        counted
    }

    /// How often the keyword `unsafe` stands there.
    pub fn unsafes(&self) -> usize {
        self.unsafes
    }

    /// The lines of code of a text and how often `unsafe` is in it. `None` if it is not
    /// Rust.
    pub fn count(text: &str) -> Option<(usize, usize)> {
        let code = RustCode::of(text)?;
        Some((code.lines(), code.unsafes()))
    }

    /// The lines, each as escaped HTML: spans with the names of [`Class::html`].
    pub(crate) fn html(&self) -> Vec<String> {
        let mut pieces = self.pieces.iter().peekable();
        let mut start = 0;
        let mut lines = Vec::new();
        for line in self.text.split_inclusive('\n') {
            let end = start + line.trim_end_matches(['\n', '\r']).len();
            let mut html = String::new();
            let mut at = start;
            while let Some((piece, class)) = pieces.peek().filter(|(piece, _)| piece.start < end) {
                let (from, to) = (piece.start.max(start), piece.end.min(end));
                html += &escaped(&self.text[at..from]);
                let name = class.html();
                html += &format!("<i class={name}>{}</i>", escaped(&self.text[from..to]));
                at = to;
                if piece.end > end {
                    break;
                }
                pieces.next();
            }
            html += &escaped(&self.text[at..end]);
            lines.push(html);
            start += line.len();
            while pieces.next_if(|(piece, _)| piece.end <= start).is_some() {}
        }
        lines
    }

    fn add(&mut self, stream: TokenStream) {
        let mut trees = stream.into_iter().peekable();
        let mut defines = false;
        while let Some(tree) = trees.next() {
            let range = tree.span().byte_range();
            match tree {
                TokenTree::Group(group) => {
                    // A doc comment is an attribute, whose tokens are all where the
                    // comment is.
                    if self.is_comment(&range) {
                        continue;
                    }
                    let (open, close) = (group.span_open(), group.span_close());
                    self.tokens.push(open.byte_range());
                    self.add(group.stream());
                    self.tokens.push(close.byte_range());
                }
                TokenTree::Punct(mark) => {
                    if self.is_comment(&range) {
                        self.push(range, Class::Comment);
                        continue;
                    }
                    self.tokens.push(range.clone());
                    if mark.as_char() == '\''
                        && let Some(name) = trees.next()
                    {
                        let name = name.span().byte_range();
                        self.pieces.push((range.start..name.end, Class::Lifetime));
                        self.tokens.push(name);
                    }
                }
                TokenTree::Literal(literal) => {
                    self.tokens.push(range.clone());
                    let number = literal
                        .to_string()
                        .starts_with(|c: char| c.is_ascii_digit());
                    let class = if number { Class::Number } else { Class::Text };
                    self.pieces.push((range, class));
                }
                TokenTree::Ident(name) => {
                    self.tokens.push(range.clone());
                    let name = name.to_string();
                    self.unsafes += usize::from(name == "unsafe");
                    let class = class(&name, trees.peek());
                    let class = class.or(defines.then_some(Class::Function));
                    defines = name == "fn";
                    self.pieces.extend(class.map(|class| (range, class)));
                }
            }
        }
    }

    /// A doc comment is several tokens, each as long as all of it: one piece.
    fn push(&mut self, range: Range<usize>, class: Class) {
        if self.pieces.last().is_none_or(|(last, _)| *last != range) {
            self.pieces.push((range, class));
        }
    }

    fn is_comment(&self, range: &Range<usize>) -> bool {
        ["//", "/*"]
            .iter()
            .any(|mark| self.text[range.clone()].starts_with(mark))
    }

    /// What stands between two tokens and is not blank is a comment.
    fn add_comments(&mut self) {
        let docs = self
            .pieces
            .iter()
            .filter(|(_, class)| *class == Class::Comment);
        let mut known: Vec<_> = docs.map(|(range, _)| range.clone()).collect();
        known.extend(self.tokens.iter().cloned());
        known.push(self.text.len()..self.text.len());
        known.sort_by_key(|range| range.start);
        let mut at = 0;
        for range in known {
            let gap = &self.text[at.min(range.start)..range.start];
            let comment = gap.trim();
            if !comment.is_empty() {
                let from = at + (gap.len() - gap.trim_start().len());
                self.pieces
                    .push((from..from + comment.len(), Class::Comment));
            }
            at = at.max(range.end);
        }
        self.pieces.sort_by_key(|(range, _)| range.start);
    }
}

fn class(name: &str, next: Option<&TokenTree>) -> Option<Class> {
    const KEYWORDS: &str = " as async await break const continue crate dyn else enum extern false \
        fn for if impl in let loop match mod move mut pub ref return self Self static struct super \
        trait true type unsafe use where while ";
    if KEYWORDS.contains(&format!(" {name} ")) {
        return Some(Class::Keyword);
    }
    match next {
        Some(TokenTree::Punct(mark)) if mark.as_char() == '!' => return Some(Class::Macro),
        _ if name.starts_with(char::is_uppercase) => return Some(Class::Type),
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis => {}
        _ => return None,
    }
    Some(Class::Function)
}

/// Text as it has to stand in HTML, between tags or in an attribute's quotes.
pub(crate) fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html += "&amp;",
            '<' => html += "&lt;",
            '>' => html += "&gt;",
            '"' => html += "&#34;",
            '\'' => html += "&#39;",
            c => html.push(c),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r####"//! A module, unsafe only in words.

use std::ops::Range; // not unsafe

/// Adds.
pub fn add<'a>(one: &'a str) -> u64 {
    /* a comment
       of two lines */
    let text = "// no comment
        \" of two lines";
    let raw = r#"unsafe"#;
    println!("{text}"); let c = 'x'; let n = 0x_ff_u64;
    if a < b && c > d { unsafe { Some(one.len()) } }
}
"####;

    #[test]
    fn code_is_what_is_neither_blank_nor_comment() {
        let code = RustCode::of(TEXT).expect("it is Rust");
        assert_eq!((code.lines(), code.unsafes()), (8, 1));
        for (text, lines) in [("", 0), ("\n\n// x\n", 0), ("fn f() {}", 1)] {
            assert_eq!(
                RustCode::of(text).map(|code| code.lines()),
                Some(lines),
                "{text}"
            );
        }
        assert!(RustCode::of("fn f( {").is_none());
    }

    /// What a browser would show.
    fn shown(html: &str) -> String {
        let mut tags = html.split('<');
        let mut text = tags.next().unwrap_or("").to_owned();
        text.extend(tags.filter_map(|part| Some(part.split_once('>')?.1)));
        let marks = [
            ("&lt;", "<"),
            ("&gt;", ">"),
            ("&#34;", "\""),
            ("&#39;", "'"),
            ("&amp;", "&"),
        ];
        marks
            .iter()
            .fold(text, |text, (name, mark)| text.replace(name, mark))
    }

    #[test]
    fn colors_change_no_letter() {
        let root = lab::workspace::root().expect("the tree");
        let own = ["thread", "process", "tokio"].map(|model| {
            let path = lab::workspace::source(&root, model, "download");
            std::fs::read_to_string(path).expect("a model's file")
        });
        for text in own.iter().map(String::as_str).chain([TEXT]) {
            let lines = RustCode::of(text).expect("it is Rust").html();
            let shown: Vec<_> = lines.iter().map(|line| shown(line)).collect();
            let written: Vec<_> = text.lines().collect();
            assert_eq!(shown, written);
        }
    }

    #[test]
    fn pieces_have_their_class() {
        let html = RustCode::of(TEXT).expect("it is Rust").html().join("\n");
        for piece in [
            "<i class=c>//! A module, unsafe only in words.</i>",
            "<i class=c>// not unsafe</i>",
            "<i class=c>/// Adds.</i>",
            "<i class=k>pub</i>",
            "<i class=f>add</i>",
            "<i class=l>&#39;a</i>",
            "<i class=c>/* a comment</i>\n",
            "<i class=s>&#34;// no comment</i>\n<i class=s>",
            "<i class=m>println</i>!",
            "<i class=s>&#39;x&#39;</i>",
            "<i class=n>0x_ff_u64</i>",
            "<i class=k>unsafe</i>",
            "<i class=t>Some</i>",
        ] {
            assert!(html.contains(piece), "no {piece} in {html}");
        }
    }
}
