//! The size of a Lark grammar when its terminals are expanded.

use std::collections::BTreeMap;

/// Sum of the sizes of all terminals in which references to other terminals are replaced by their definitions, as
/// llguidance does; saturating. Definitions that refer to themselves count as empty: they are errors later.
pub(super) fn expanded_size(lark: &str) -> usize {
    let references = references(lark);
    let mut sizes = BTreeMap::new();
    references.keys().fold(0_usize, |sum, name| sum.saturating_add(size(name, &references, &mut sizes)))
}

fn size<'a>(
    name: &'a str,
    references: &BTreeMap<&'a str, Vec<&'a str>>,
    sizes: &mut BTreeMap<&'a str, usize>,
) -> usize {
    let Some(inner) = references.get(name) else { return 1 };
    if let Some(&known) = sizes.get(name) {
        return known;
    }
    sizes.insert(name, 0);
    let total = inner.iter().fold(1_usize, |sum, inner| sum.saturating_add(size(inner, references, sizes)));
    sizes.insert(name, total);
    total
}

/// The terminals that each definition of a terminal refers to.
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
            // The name before belongs to the next definition.
            b':' if depth == 0 => {
                let name = names.iter().rposition(|&(depth, _)| depth == 0);
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
    let inner = names.drain(..).map(|(_, name)| name).filter(|name| is_terminal(name));
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
