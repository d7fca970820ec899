//! The path of a parameter in a module tree.

/// The path of the parameter that a [`ModuleVisitor`](burn::module::ModuleVisitor) or
/// [`ModuleMapper`](burn::module::ModuleMapper) has reached, such as `text.layers.0.mlp.up_proj.weight`.
///
/// It consists of field names. Variants of enums are omitted.
#[derive(Debug, Default)]
pub struct ParameterPath(Vec<String>);

impl ParameterPath {
    /// Enters a module; takes the arguments of `enter_module`.
    pub fn enter(&mut self, name: &str, container: &str) {
        if !is_enum(container) {
            self.0.push(name.to_owned());
        }
    }

    /// Leaves a module; takes the argument of `exit_module`.
    pub fn exit(&mut self, container: &str) {
        if !is_enum(container) {
            self.0.pop();
        }
    }
}

impl std::fmt::Display for ParameterPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

/// Whether a container is an enum, by the name that Burn's derived modules pass to visitors.
fn is_enum(container: &str) -> bool {
    container.starts_with("Enum:")
}
