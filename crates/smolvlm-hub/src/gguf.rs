//! The GGUF files of a repository: which text model and which `mmproj` file to fetch.

use super::names::is_component;

/// Types of text models, from the one to fetch if none is requested.
const TEXT_TYPES: [&str; 8] = ["Q8_0", "Q4_K_M", "Q4_1", "Q4_0", "BF16", "F16", "Q6_K", "F32"];

/// Types of `mmproj` files, likewise.
const MMPROJ_TYPES: [&str; 4] = ["F16", "Q8_0", "BF16", "F32"];

/// The chosen files of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) text: String,
    pub(super) mmproj: Option<String>,
}

/// Whether a file is GGUF and is not a part of one.
pub(super) fn is_gguf(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    is_component(name) && lower.ends_with(".gguf") && !lower.contains("-of-0")
}

/// Whether a name is that of vision encoder and connector.
fn is_mmproj(name: &str) -> bool {
    name.to_ascii_lowercase().contains("mmproj")
}

/// Whether the name of a GGUF file ends with a type such as `Q8_0`, in any case.
fn has_type(name: &str, kind: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let stem = lower.strip_suffix(".gguf").unwrap_or(&lower);
    let rest = stem.strip_suffix(&kind.to_ascii_lowercase());
    rest.is_some_and(|rest| rest.is_empty() || rest.ends_with(['-', '.', '_']))
}

/// Chooses a text model of the requested type, or else of the best known one; and the `mmproj` file of the same type,
/// or else the most precise one of the usual types.
///
/// # Errors
///
/// The names of the text models, if none or several fit.
pub(super) fn choose<'a>(names: impl IntoIterator<Item = &'a str>, kind: Option<&str>) -> Result<Chosen, String> {
    let mut names: Vec<&str> = names.into_iter().filter(|name| is_gguf(name)).collect();
    names.sort_unstable();
    let (mmproj, text): (Vec<&str>, Vec<&str>) = names.into_iter().partition(|name| is_mmproj(name));
    let of_type = |names: &[&'a str], kind: &str| names.iter().copied().find(|name| has_type(name, kind));
    let chosen = match (kind, text.as_slice()) {
        (Some(kind), text) => of_type(text, kind),
        (None, [only]) => Some(*only),
        (None, text) => TEXT_TYPES.iter().find_map(|kind| of_type(text, kind)),
    };
    let chosen = chosen.ok_or_else(|| if text.is_empty() { "none".to_owned() } else { text.join(", ") })?;
    let same = MMPROJ_TYPES.iter().filter(|kind| has_type(chosen, kind)).find_map(|kind| of_type(&mmproj, kind));
    let usual = || MMPROJ_TYPES.iter().find_map(|kind| of_type(&mmproj, kind));
    let mmproj = same.or_else(usual).or_else(|| mmproj.first().copied());
    Ok(Chosen { text: chosen.to_owned(), mmproj: mmproj.map(str::to_owned) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: [&str; 6] = [
        "README.md",
        "SmolVLM2-256M-Q8_0.gguf",
        "SmolVLM2-256M-f16.gguf",
        "mmproj-SmolVLM2-256M-Q8_0.gguf",
        "mmproj-SmolVLM2-256M-f16.gguf",
        "parts/SmolVLM2-256M-Q4_0.gguf",
    ];

    fn chosen(kind: Option<&str>) -> Result<(String, Option<String>), String> {
        choose(FILES, kind).map(|chosen| (chosen.text, chosen.mmproj))
    }

    #[test]
    fn files_are_chosen_by_type() {
        let pair = |text: &str, mmproj: &str| Ok((text.to_owned(), Some(mmproj.to_owned())));
        assert_eq!(chosen(None), pair(FILES[1], FILES[3]));
        assert_eq!(chosen(Some("q8_0")), pair(FILES[1], FILES[3]));
        assert_eq!(chosen(Some("F16")), pair(FILES[2], FILES[4]));
        assert_eq!(chosen(Some("Q4_0")), Err("SmolVLM2-256M-Q8_0.gguf, SmolVLM2-256M-f16.gguf".to_owned()));
        assert_eq!(choose(["a.Q4_1.gguf"], None).unwrap(), Chosen { text: "a.Q4_1.gguf".to_owned(), mmproj: None });
        assert_eq!(choose(["mmproj-a.gguf"], None), Err("none".to_owned()));
        assert_eq!(choose(["a.gguf", "b.gguf"], None), Err("a.gguf, b.gguf".to_owned()));
    }

    #[test]
    fn only_complete_files_in_the_repository_itself_count() {
        for other in ["a/b.gguf", "../b.gguf", "b-00001-of-00002.gguf", "b.safetensors", ".gguf"] {
            assert!(!is_gguf(other), "{other}");
        }
    }
}
