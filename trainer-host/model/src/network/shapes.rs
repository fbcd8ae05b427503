//! The names and shapes of a network's parameters, without the network; and in what two lists of them differ.

use std::collections::BTreeMap;

use super::config::{SitConfig, TIME_FEATURES};
use super::weights::Difference;

/// Shapes of tensors by their published names.
pub type Shapes = BTreeMap<String, Vec<usize>>;

/// In what `found` differs from `wanted`: missing, of another shape, unexpected.
pub fn differences(found: &Shapes, wanted: &Shapes) -> Vec<Difference> {
    let missing = wanted.iter().filter_map(|(name, wanted)| match found.get(name) {
        None => Some(Difference::Missing {
            name: name.clone(),
            wanted: wanted.clone(),
        }),
        Some(found) if found != wanted => Some(Difference::Shape {
            name: name.clone(),
            found: found.clone(),
            wanted: wanted.clone(),
        }),
        Some(_) => None,
    });
    let unexpected = found.iter().filter(|(name, _)| !wanted.contains_key(*name));
    let unexpected = unexpected.map(|(name, found)| Difference::Unexpected {
        name: name.clone(),
        found: found.clone(),
    });
    missing.chain(unexpected).collect()
}

impl SitConfig {
    /// Every parameter, the position table too.
    pub fn parameter_shapes(&self) -> Shapes {
        let (d, patch) = (self.hidden_size, self.patch_size);
        let mut shapes = Shapes::new();
        let linear = |shapes: &mut Shapes, name: &str, inputs: usize, outputs: usize| {
            shapes.insert(format!("{name}.weight"), vec![outputs, inputs]);
            shapes.insert(format!("{name}.bias"), vec![outputs]);
        };
        shapes.insert("x_embedder.proj.weight".into(), vec![d, self.in_channels, patch, patch]);
        shapes.insert("x_embedder.proj.bias".into(), vec![d]);
        shapes.insert("pos_embed".into(), vec![1, self.tokens(), d]);
        shapes.insert(
            "y_embedder.embedding_table.weight".into(),
            vec![self.num_classes + 1, d],
        );
        linear(&mut shapes, "t_embedder.mlp.0", TIME_FEATURES, d);
        linear(&mut shapes, "t_embedder.mlp.2", d, d);
        for block in (0..self.depth).map(|i| format!("blocks.{i}")) {
            linear(&mut shapes, &format!("{block}.attn.qkv"), d, 3 * d);
            linear(&mut shapes, &format!("{block}.attn.proj"), d, d);
            if self.qk_norm {
                for norm in ["q_norm.weight", "q_norm.bias", "k_norm.weight", "k_norm.bias"] {
                    shapes.insert(format!("{block}.attn.{norm}"), vec![self.head_width()]);
                }
            }
            linear(&mut shapes, &format!("{block}.mlp.fc1"), d, self.mlp_width());
            linear(&mut shapes, &format!("{block}.mlp.fc2"), self.mlp_width(), d);
            linear(&mut shapes, &format!("{block}.adaLN_modulation.1"), d, 6 * d);
        }
        linear(&mut shapes, "final_layer.linear", d, self.patch_width());
        linear(&mut shapes, "final_layer.adaLN_modulation.1", d, 2 * d);
        shapes
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::network::{Sit, collect};

    #[test]
    fn the_shapes_are_those_of_the_network() {
        for qk_norm in [false, true] {
            let config = SitConfig {
                qk_norm,
                ..SitConfig::countable()
            };
            let network = Sit::init(&config, &mut ChaCha8Rng::seed_from_u64(0), &Device::flex()).unwrap();
            let tensors = collect(&network);
            let shapes = tensors.into_iter().map(|(name, data)| (name, data.shape().to_vec()));
            assert_eq!(config.parameter_shapes(), shapes.collect());
        }
    }
}
