//! The size of a Lark grammar when its terminals are expanded.

use std::collections::BTreeMap;

/// The operator that intersects expressions.
const AND: &str = "&";

/// The terminals of a grammar.
pub(super) struct Terminals<'a>(BTreeMap<&'a str, Vec<&'a str>>);

impl<'a> Terminals<'a> {
    pub(super) fn new(lark: &'a str) -> Self {
        Self(references(lark))
    }

    /// Sum of the sizes of all terminals in which references to other terminals are replaced by their definitions, as
    /// llguidance does; saturating. Definitions that refer to themselves count as empty: they are errors later.
    pub(super) fn expanded_size(&self) -> usize {
        self.sums(1, |name| usize::from(name != AND)).fold(0, usize::saturating_add)
    }

    /// Maximum number of expressions that an expanded terminal intersects.
    pub(super) fn intersected(&self) -> usize {
        self.sums(0, |name| usize::from(name == AND)).max().unwrap_or(0).saturating_add(1)
    }

    /// Per terminal, the sum of `own` for each terminal and `leaf` for what has no definition, expanded.
    fn sums(&self, own: usize, leaf: impl Fn(&str) -> usize) -> impl Iterator<Item = usize> {
        let mut known = BTreeMap::new();
        self.0.keys().map(move |&name| self.sum(name, own, &leaf, &mut known))
    }

    fn sum(
        &self,
        name: &'a str,
        own: usize,
        leaf: &impl Fn(&str) -> usize,
        known: &mut BTreeMap<&'a str, usize>,
    ) -> usize {
        let Some(inner) = self.0.get(name) else { return leaf(name) };
        if let Some(&known) = known.get(name) {
            return known;
        }
        known.insert(name, 0);
        let total = inner.iter().fold(own, |sum, inner| sum.saturating_add(self.sum(inner, own, leaf, known)));
        known.insert(name, total);
        total
    }
}

/// The terminals and operators of intersections in each definition of a terminal.
fn references(lark: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut references: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let (mut current, mut names, mut depth) = ("", Vec::new(), 0_usize);
    let bytes = lark.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let start = at;
        at += 1;
        match byte {
            b'/' if bytes.get(at) == Some(&b'/') => at = end_of(bytes, at, b'\n'),
            b'/' | b'"' => at = end_of(bytes, at, byte),
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b'A'..=b'Z' | b'a'..=b'z' | b'_' => {
                while bytes.get(at).is_some_and(|&byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                    at += 1;
                }
                names.push((depth, &lark[start..at]));
            }
            b'&' => names.push((depth, AND)),
            // The name before belongs to the next definition.
            b':' if depth == 0 => {
                let name = names.iter().rposition(|&(depth, name)| depth == 0 && name != AND);
                let next = name.map(|index| names.swap_remove(index).1);
                define(&mut references, current, &mut names);
                current = next.unwrap_or_default();
            }
            _ => {}
        }
    }
    define(&mut references, current, &mut names);
    references
}

fn define<'a>(references: &mut BTreeMap<&'a str, Vec<&'a str>>, name: &'a str, names: &mut Vec<(usize, &'a str)>) {
    let inner = names.drain(..).map(|(_, name)| name).filter(|&name| name == AND || is_terminal(name));
    if is_terminal(name) {
        references.entry(name).or_default().extend(inner);
    }
}

fn is_terminal(name: &str) -> bool {
    name.trim_start_matches('_').starts_with(|first: char| first.is_ascii_uppercase())
}

/// The index after the next such byte that is not escaped.
fn end_of(bytes: &[u8], mut at: usize, end: u8) -> usize {
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'\\' => at += 1,
            byte if byte == end => break,
            _ => {}
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded_size(lark: &str) -> usize {
        Terminals::new(lark).expanded_size()
    }

    #[test]
    fn intersections_are_expanded() {
        let intersected = |lark| Terminals::new(lark).intersected();
        assert_eq!(intersected("start: A\nA: \"&\" | /a&/ // &"), 1);
        assert_eq!(intersected("A: /a/ & (/b/ & /c/)\nB: A & /d/\nC: /e/ & /f/"), 4);
        assert_eq!(intersected("A: A & /a/"), 2);
    }

    #[test]
    fn references_are_expanded() {
        assert_eq!(expanded_size("start: A a\na: A A\nA: \"x\""), 1);
        assert_eq!(expanded_size("A: B B\nB: \"C: A\" | /A:\\/ A/ // A: A\n"), 3 + 1);
        assert_eq!(expanded_size("A[capture]\n : B (B | \"x\")~2\n  | B\nB.2: C\nC: /c/"), 7 + 2 + 1);
        assert_eq!(expanded_size("A: B\nB: A"), 3);
        let doubling = |count| {
            let lines = (0..count).map(|n| format!("T{n}: T{0} T{0}\n", n + 1));
            expanded_size(&lines.collect::<String>())
        };
        assert_eq!(doubling(3), 15 + 7 + 3);
        assert_eq!(doubling(100), usize::MAX);
        assert_eq!(expanded_size("\"\\"), 0);
    }
}
