//! What parts of the page are called in links, and each model's color.

use results::Models;

/// Where a job is on the page.
pub(crate) fn anchor(workload: &str, label: &str) -> String {
    slug(&format!("{workload}-{label}"))
}

/// Where a sweep is on the page.
pub(crate) fn sweep(workload: &str, key: &str, cores: Option<usize>) -> String {
    match cores {
        None => format!("sweep-{workload}.{key}"),
        Some(cores) => format!("sweep-{workload}.{key}-{cores}"),
    }
}

/// A name as an anchor.
pub(crate) fn slug(name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    name.replace(|c| !fits(c), "-")
}

/// Which of the page's colors a model has. A custom command, or a model's copy, has
/// the last one.
pub(crate) fn color(models: Models, model: &str) -> usize {
    let place = models.iter().position(|known| known.name == model);
    place.unwrap_or(models.iter().count())
}

/// Strokes and gaps of a model's lines.
pub(crate) fn dashes(models: Models, model: &str) -> String {
    let known = models.find(model);
    known.map_or("3 3", |model| &model.color.dashes).to_owned()
}

/// The colors as variables of a style sheet, a line each.
pub(crate) fn color_variables(models: Models) -> String {
    let known = models
        .iter()
        .map(|model| (model.color.light.to_string(), model.color.dark.to_string()));
    let last = ("#1b2126".to_owned(), "#e6e9ec".to_owned());
    let variable = |(at, (light, dark))| format!("  --m{at}: light-dark({light}, {dark});\n");
    known.chain([last]).enumerate().map(variable).collect()
}

/// The classes that use them.
pub(crate) fn color_classes(models: Models) -> String {
    let class = |at| format!(".m{at} {{ --own: var(--m{at}); }}");
    let classes: Vec<_> = (0..=models.iter().count()).map(class).collect();
    let lines = classes.chunks(4).map(|line| line.join(" ") + "\n");
    lines.collect()
}
