//! `cnn summary --format dot|mermaid`: the layers and what flows between them.

use std::fmt::{Display, Write as _};

use cnn_dsl::diagnostics::thousands;
use cnn_dsl::ir::Model;
use cnn_dsl::names::snake_case;

/// For Graphviz (<https://graphviz.org/doc/info/lang.html>): a cluster a model.
pub fn dot(models: &[Model]) -> String {
    let mut out = String::from("digraph {\n    node [shape=box, fontname=\"sans-serif\"];\n");
    for (m, model) in models.iter().enumerate() {
        let _ = writeln!(out, "    subgraph cluster_{m} {{");
        let _ = writeln!(out, "        label=\"{}\";", dot_escape(&snake_case(&model.name)));
        for (n, lines) in nodes(model).iter().enumerate() {
            let lines: Vec<String> = lines.iter().map(|line| dot_escape(line)).collect();
            let shape = if n == 0 { ", shape=ellipse" } else { "" };
            let _ = writeln!(out, "        {} [label=\"{}\"{shape}];", id(m, n), lines.join("\\n"));
        }
        for (from, to) in edges(model) {
            let _ = writeln!(out, "        {} -> {};", id(m, from), id(m, to));
        }
        out.push_str("    }\n");
    }
    out.push_str("}\n");
    out
}

/// For Mermaid (<https://mermaid.js.org/syntax/flowchart.html>): a subgraph a model.
pub fn mermaid(models: &[Model]) -> String {
    let mut out = String::from("flowchart TD\n");
    for (m, model) in models.iter().enumerate() {
        let title = mermaid_escape(&snake_case(&model.name));
        let _ = writeln!(out, "    subgraph m{m}[\"{title}\"]");
        for (n, lines) in nodes(model).iter().enumerate() {
            let lines: Vec<String> = lines.iter().map(|line| mermaid_escape(line)).collect();
            let (open, close) = if n == 0 { ("([", "])") } else { ("[", "]") };
            let label = lines.join("<br/>");
            let _ = writeln!(out, "        {}{open}\"{label}\"{close}", id(m, n));
        }
        for (from, to) in edges(model) {
            let _ = writeln!(out, "        {} --> {}", id(m, from), id(m, to));
        }
        out.push_str("    end\n");
    }
    out
}

fn id(model: usize, node: usize) -> impl Display {
    format!("m{model}_n{node}")
}

/// The lines of every node: the input, then the layers.
fn nodes(model: &Model) -> Vec<Vec<String>> {
    let input = vec!["input".to_owned(), model.input.to_string()];
    let layers = model.layers.iter().map(|layer| {
        let class = layer.kind.class();
        let mut lines = vec![layer.name.clone(), class.to_owned(), layer.output.to_string()];
        match layer.params() {
            0 => {}
            1 => lines.push("1 param".to_owned()),
            params => lines.push(format!("{} params", thousands(params.into()))),
        }
        lines
    });
    std::iter::once(input).chain(layers).collect()
}

/// From node to node; the input is node 0, layer `i` is node `i + 1`.
fn edges(model: &Model) -> impl Iterator<Item = (usize, usize)> {
    model
        .layers
        .iter()
        .enumerate()
        .flat_map(|(i, layer)| layer.sources.iter().map(move |source| (*source, i + 1)))
}

fn dot_escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Mermaid reads HTML, and its own entities with `#` for `&`.
fn mermaid_escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '#' => out.push_str("#35;"),
            '"' => out.push_str("#quot;"),
            '<' => out.push_str("#lt;"),
            '>' => out.push_str("#gt;"),
            '&' => out.push_str("#amp;"),
            '`' => out.push_str("#96;"),
            '\n' => out.push_str("<br/>"),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_quotes() {
        assert_eq!(dot_escape("a\"b\\"), "a\\\"b\\\\");
        assert_eq!(mermaid_escape("a\"<b>#1"), "a#quot;#lt;b#gt;#35;1");
    }

    #[test]
    fn branches_and_merges_are_edges() {
        let mut models =
            cnn_dsl::compile("model Net { input(4); Dense(4); Dense(4); Dense(4); }").unwrap();
        models[0].layers[2].sources = vec![0, 2];
        let edges: Vec<(usize, usize)> = edges(&models[0]).collect();
        assert_eq!(edges, [(0, 1), (1, 2), (0, 3), (2, 3)]);
    }
}
