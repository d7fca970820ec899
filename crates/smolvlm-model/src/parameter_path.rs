//! The path of a parameter in a module tree.

/// The path of the parameter that a [`ModuleVisitor`](burn::module::ModuleVisitor) or
/// [`ModuleMapper`](burn::module::ModuleMapper) has reached, such as `text.layers.0.mlp.up_proj.weight`.
///
/// It consists of field names.
#[derive(Debug, Default)]
pub struct ParameterPath(Vec<String>);

impl ParameterPath {
    /// Enters a module; takes the name that `enter_module` receives.
    pub fn enter(&mut self, name: &str) {
        self.0.push(name.to_owned());
    }

    /// Leaves a module.
    pub fn exit(&mut self) {
        self.0.pop();
    }
}

impl std::fmt::Display for ParameterPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join("."))
    }
}
