//! Which layer of one model is which of the other.

use std::collections::HashMap;

use cnn_dsl::ir::{Layer, Model};

/// A layer before and after; at least one of them is there.
pub struct Row<'a> {
    pub before: Option<&'a Layer>,
    pub after: Option<&'a Layer>,
    /// What differs, by its key in JSON.
    pub changed: Vec<&'static str>,
}

/// What became of a layer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Same,
    Changed,
    Added,
    Removed,
}

impl Change {
    pub fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Changed => "changed",
            Self::Added => "added",
            Self::Removed => "removed",
        }
    }

    /// In front of a line of the table.
    pub fn mark(self) -> &'static str {
        match self {
            Self::Same => " ",
            Self::Changed => "~",
            Self::Added => "+",
            Self::Removed => "-",
        }
    }
}

impl Row<'_> {
    pub fn change(&self) -> Change {
        match (self.before, self.after) {
            (None, _) => Change::Added,
            (_, None) => Change::Removed,
            _ if self.changed.is_empty() => Change::Same,
            _ => Change::Changed,
        }
    }
}

/// Pairs layers of one name, then those of one class that come next after a pair. Rows are
/// in the order of `after`; what it lacks follows what it followed.
pub fn align<'a>(before: &'a Model, after: &'a Model) -> Vec<Row<'a>> {
    let partners = partners(&before.layers, &after.layers);
    let mut of_after: Vec<Option<usize>> = vec![None; after.layers.len()];
    // What is gone, by the layer of `before` that comes before it.
    let mut gone: HashMap<Option<usize>, Vec<usize>> = HashMap::new();
    let mut anchor = None;
    for (old, partner) in partners.iter().enumerate() {
        match partner {
            Some(new) => {
                of_after[*new] = Some(old);
                anchor = Some(old);
            }
            None => gone.entry(anchor).or_default().push(old),
        }
    }
    let removed = |anchor: Option<usize>| {
        let layers = gone.get(&anchor).into_iter().flatten();
        layers.map(|old| Row { before: Some(&before.layers[*old]), after: None, changed: vec![] })
    };
    let mut rows: Vec<Row<'a>> = removed(None).collect();
    for (new, old) in of_after.iter().enumerate() {
        let layer = &after.layers[new];
        let Some(old) = *old else {
            rows.push(Row { before: None, after: Some(layer), changed: vec![] });
            continue;
        };
        let mut changed = changed(&before.layers[old], layer);
        if !equal_sources(old, &before.layers[old], new, layer, &partners) {
            changed.push("inputs");
        }
        rows.push(Row { before: Some(&before.layers[old]), after: Some(layer), changed });
        rows.extend(removed(Some(old)));
    }
    rows
}

/// For each layer of `before` its place in `after`.
fn partners(before: &[Layer], after: &[Layer]) -> Vec<Option<usize>> {
    let by_name: HashMap<&str, usize> =
        after.iter().enumerate().map(|(i, layer)| (layer.name.as_str(), i)).collect();
    let mut partners: Vec<Option<usize>> =
        before.iter().map(|layer| by_name.get(layer.name.as_str()).copied()).collect();
    let mut taken = vec![false; after.len()];
    for partner in partners.iter().flatten() {
        taken[*partner] = true;
    }
    let mut next = 0;
    for (layer, partner) in before.iter().zip(&mut partners) {
        while taken.get(next) == Some(&true) && partner.is_none() {
            next += 1;
        }
        let free = after.get(next).filter(|other| class(other) == class(layer));
        if partner.is_none() && free.is_some() {
            *partner = Some(next);
            taken[next] = true;
        }
        if let Some(partner) = partner {
            next = *partner + 1;
        }
    }
    partners
}

fn class(layer: &Layer) -> &'static str {
    layer.kind.class()
}

fn changed(before: &Layer, after: &Layer) -> Vec<&'static str> {
    let same_params = before.params() == after.params();
    let differences = [
        ("name", before.name != after.name),
        ("type", class(before) != class(after)),
        ("arguments", class(before) == class(after) && before.kind != after.kind),
        ("output_shape", before.output != after.output),
        ("params", !same_params),
        // Shapes, initializers, what is trained.
        ("weights", same_params && before.weights != after.weights),
        ("macs", before.macs != after.macs),
    ];
    differences.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
}

/// Whether both take the outputs of the same layers, or both of whatever comes before.
fn equal_sources(
    old: usize,
    before: &Layer,
    new: usize,
    after: &Layer,
    partners: &[Option<usize>],
) -> bool {
    if before.sources == [old] && after.sources == [new] {
        return true;
    }
    let moved = before.sources.iter().map(|source| match source.checked_sub(1) {
        None => Some(0),
        Some(layer) => partners[layer].map(|partner| partner + 1),
    });
    moved.eq(after.sources.iter().map(|source| Some(*source)))
}
