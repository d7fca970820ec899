//! The GGUF files of a repository: which text model and which `mmproj` file to fetch.

use super::names::is_component;

/// Quantizations of text models, from the one to fetch if none is requested.
const TEXT_QUANTIZATIONS: [&str; 8] = ["Q8_0", "Q4_K_M", "Q4_1", "Q4_0", "BF16", "F16", "Q6_K", "F32"];

/// Quantizations of `mmproj` files, likewise.
const MMPROJ_QUANTIZATIONS: [&str; 4] = ["F16", "Q8_0", "BF16", "F32"];

/// The chosen files of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) text: String,
    pub(super) mmproj: Option<String>,
}

/// Whether a file is GGUF and is not a part of one.
pub(super) fn is_gguf(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    is_component(name) && lower.ends_with(".gguf") && !is_part(&lower)
}

/// Whether a name has the number of a part and that of parts, as in `-00001-of-00002`.
fn is_part(name: &str) -> bool {
    let number = |text: Option<&str>| text.is_some_and(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    name.match_indices("-of-").any(|(at, separator)| {
        let (before, after) = (&name[..at], &name[at + separator.len()..]);
        let digits = before.len().checked_sub(5).and_then(|start| before.get(start..));
        number(digits) && before[..at - 5].ends_with('-') && number(after.get(..5))
    })
}

/// Whether a name is that of vision encoder and connector.
fn is_mmproj(name: &str) -> bool {
    name.to_ascii_lowercase().contains("mmproj")
}

/// Whether the name of a GGUF file ends with a quantization such as `Q8_0`, in any case. Quantizations have underscores
/// themselves, so that one separates only a full quantization from the rest of the name.
fn has_quantization(name: &str, quantization: &str) -> bool {
    let (name, quantization) = (name.to_ascii_lowercase(), quantization.to_ascii_lowercase());
    let stem = name.strip_suffix(".gguf").unwrap_or(&name);
    stem.strip_suffix(&quantization).is_some_and(|rest| {
        rest.is_empty() || rest.ends_with(['-', '.']) || rest.ends_with('_') && is_quantization(&quantization)
    })
}

/// Whether a lowercase name has the form of a quantization: the letters of its family, then the number of bits.
fn is_quantization(name: &str) -> bool {
    let bits = ["iq", "tq", "bf", "mxfp", "fp", "q", "f"].iter().find_map(|family| name.strip_prefix(family));
    bits.is_some_and(|bits| bits.starts_with(|first: char| first.is_ascii_digit()))
}

/// Chooses a text model of the requested quantization, or else of the best known one; and the `mmproj` file of the same
/// one, or else the most precise one of the usual ones.
///
/// # Errors
///
/// The names of the text models, if none or several fit.
pub(super) fn choose<'a>(
    names: impl IntoIterator<Item = &'a str>,
    quantization: Option<&str>,
) -> Result<Chosen, String> {
    let mut names: Vec<&str> = names.into_iter().filter(|name| is_gguf(name)).collect();
    names.sort_unstable();
    let (mmproj, text): (Vec<&str>, Vec<&str>) = names.into_iter().partition(|name| is_mmproj(name));
    let of_quantization =
        |names: &[&'a str], quantization: &str| names.iter().copied().find(|name| has_quantization(name, quantization));
    let chosen = match (quantization, text.as_slice()) {
        (Some(quantization), text) => of_quantization(text, quantization),
        (None, [only]) => Some(*only),
        (None, text) => TEXT_QUANTIZATIONS.iter().find_map(|quantization| of_quantization(text, quantization)),
    };
    let chosen = chosen.ok_or_else(|| if text.is_empty() { "none".to_owned() } else { text.join(", ") })?;
    let same = MMPROJ_QUANTIZATIONS
        .iter()
        .filter(|quantization| has_quantization(chosen, quantization))
        .find_map(|quantization| of_quantization(&mmproj, quantization));
    let usual = || MMPROJ_QUANTIZATIONS.iter().find_map(|quantization| of_quantization(&mmproj, quantization));
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

    fn chosen(quantization: Option<&str>) -> Result<(String, Option<String>), String> {
        choose(FILES, quantization).map(|chosen| (chosen.text, chosen.mmproj))
    }

    #[test]
    fn files_are_chosen_by_type() {
        let pair = |text: &str, mmproj: &str| Ok((text.to_owned(), Some(mmproj.to_owned())));
        assert_eq!(chosen(None), pair(FILES[1], FILES[3]));
        assert_eq!(chosen(Some("q8_0")), pair(FILES[1], FILES[3]));
        assert_eq!(chosen(Some("F16")), pair(FILES[2], FILES[4]));
        assert_eq!(chosen(Some("Q4_0")), Err("SmolVLM2-256M-Q8_0.gguf, SmolVLM2-256M-f16.gguf".to_owned()));
        assert_eq!(choose(["a.Q4_1.gguf"], None).unwrap(), Chosen { text: "a.Q4_1.gguf".to_owned(), mmproj: None });
        assert_eq!(choose(["a_Q8_0.gguf", "b.gguf"], Some("q8_0")).unwrap().text, "a_Q8_0.gguf");
        for part in ["0", "_0", "8_0", "M", "K_M"] {
            choose(["a-Q8_0.gguf", "a-Q4_K_M.gguf"], Some(part)).unwrap_err();
        }
        assert_eq!(choose(["mmproj-a.gguf"], None), Err("none".to_owned()));
        assert_eq!(choose(["a.gguf", "b.gguf"], None), Err("a.gguf, b.gguf".to_owned()));
    }

    #[test]
    fn only_complete_files_in_the_repository_itself_count() {
        for other in ["a/b.gguf", "../b.gguf", "b-00001-of-00002.gguf", "b.safetensors", ".gguf"] {
            assert!(!is_gguf(other), "{other}");
        }
        for name in ["best-of-0-Q8_0.gguf", "1-of-00002.gguf", "b-00001-of-2.gguf"] {
            assert!(is_gguf(name), "{name}");
        }
    }
}
