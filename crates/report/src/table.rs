//! A table before it is drawn: for the terminal, for Markdown and for the page.

/// Rows in groups, each of which is about one thing: that is its first column.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    pub(crate) heads: Vec<Head>,
    pub(crate) groups: Vec<Vec<Row>>,
}

/// The head of a column.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) text: String,
    /// Whether words stand beneath it, to the left; or figures, to the right.
    pub(crate) is_text: bool,
    /// Where a table is too wide for a terminal, the column with the least is dropped first.
    /// One without it stays.
    pub(crate) importance: Option<usize>,
}

#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) texts: Vec<Text>,
    /// Whether it is one of the best of its group.
    pub(crate) best: bool,
}

/// What stands in one place.
#[derive(Debug, Clone, Default)]
pub(crate) struct Text {
    pub(crate) text: String,
    /// What to sort by, if not by the text.
    pub(crate) key: Option<f64>,
    /// Whether it is the best of its column's figures.
    pub(crate) best: bool,
    /// What the page says in addition when it is pointed at.
    pub(crate) title: String,
    /// Whether it says that something went wrong.
    pub(crate) bad: bool,
}

impl Table {
    /// With these heads: the first `texts` ones are of words, and the last one is if
    /// that is said.
    pub(crate) fn new(
        heads: impl IntoIterator<Item = impl Into<String>>,
        texts: usize,
        last_is_text: bool,
    ) -> Self {
        let mut heads: Vec<Head> = heads
            .into_iter()
            .enumerate()
            .map(|(at, text)| Head {
                text: text.into(),
                is_text: at < texts,
                importance: None,
            })
            .collect();
        if let Some(last) = heads.last_mut() {
            last.is_text |= last_is_text;
        }
        Self {
            heads,
            groups: Vec::new(),
        }
    }

    /// With these columns dropped first where it is too wide, in this order.
    pub(crate) fn without_first(mut self, heads: &[&str]) -> Self {
        for head in &mut self.heads {
            head.importance = heads.iter().position(|known| *known == head.text);
        }
        self
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.groups.iter().flatten()
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self {
            text,
            ..Self::default()
        }
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}
