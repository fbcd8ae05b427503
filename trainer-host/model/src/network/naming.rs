//! From a module's path to the published parameter name, and from that name to an id that survives a restart.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::Tensor;
use sha2::{Digest, Sha256};

/// The id of the parameter at `path`, e.g. `student.blocks.0.attn.qkv.weight`: the first eight bytes, little-endian, of
/// the path's SHA-256.
///
/// burn keys the optimiser's state by these ids and draws them at random, so that a restarted process would not find its
/// momenta again.
pub fn param_id(path: &str) -> ParamId {
    let digest = Sha256::digest(path.as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    ParamId::from(u64::from_le_bytes(first))
}

/// Place of a visitor or mapper in a module tree, as a published name.
///
/// The rule: field names joined by dots, where a field `_0` is the entry `0` of a PyTorch sequence.
#[derive(Debug, Default)]
pub struct ModulePath(Vec<String>);

impl ModulePath {
    /// To be called from `enter_module`.
    pub fn enter(&mut self, field: &str) {
        let entry = match field.strip_prefix('_') {
            Some(rest) if rest.starts_with(|c: char| c.is_ascii_digit()) => rest,
            _ => field,
        };
        self.0.push(entry.to_owned());
    }

    /// To be called from `exit_module`.
    pub fn exit(&mut self) {
        self.0.pop();
    }

    /// The published name, e.g. `t_embedder.mlp.0.weight`.
    pub fn name(&self) -> String {
        self.0.join(".")
    }
}

/// Gives every parameter of `module` the id of `prefix.name`.
pub fn name_parameters<M: Module>(module: M, prefix: &str) -> M {
    struct Namer<'a> {
        prefix: &'a str,
        path: ModulePath,
    }
    impl ModuleMapper for Namer<'_> {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.path.enter(name);
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.exit();
        }
        fn map_float<const D: usize>(&mut self, mut param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.id = param_id(&format!("{}.{}", self.prefix, self.path.name()));
            param
        }
    }
    module.map(&mut Namer {
        prefix,
        path: ModulePath::default(),
    })
}

/// The ids of the parameters of `module` whose published names are among the meant.
pub fn parameter_ids(module: &impl Module, meant: impl Fn(&str) -> bool) -> Vec<ParamId> {
    struct Finder<F> {
        path: ModulePath,
        meant: F,
        ids: Vec<ParamId>,
    }
    impl<F: Fn(&str) -> bool> ModuleVisitor for Finder<F> {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.path.enter(name);
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.exit();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if (self.meant)(&self.path.name()) {
                self.ids.push(param.id);
            }
        }
    }
    let mut finder = Finder {
        path: ModulePath::default(),
        meant,
        ids: Vec::new(),
    };
    module.visit(&mut finder);
    finder.ids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_derive_the_id_from_the_path_alone() {
        // sha256("abc") begins ba7816bf 8f01cfea (FIPS 180-2, appendix B.1).
        assert_eq!(param_id("abc").val(), 0xeacf_018f_bf16_78ba);
        assert_ne!(param_id("student.a"), param_id("student.b"));
    }

    #[test]
    fn should_strip_the_underscore_of_sequence_entries_only() {
        let mut path = ModulePath::default();
        for field in ["mlp", "_2", "_hidden"] {
            path.enter(field);
        }
        assert_eq!(path.name(), "mlp.2._hidden");
        path.exit();
        assert_eq!(path.name(), "mlp.2");
    }
}
