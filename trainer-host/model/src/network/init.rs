//! The published initialisation (DiT, arXiv 2212.09748): Xavier for what mixes, small normals for what conditions, zeros for
//! what gates, so that every block starts as the identity and the output starts at zero.

use burn::module::Param;
use burn::tensor::{DType, Device, Tensor, TensorData};
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};
use sextant_recipe::{KeyError, Precision};

use super::attention::Attention;
use super::block::{Block, Modulation};
use super::config::{SitConfig, TIME_FEATURES};
use super::embed::{
    EmbeddingTable, LabelEmbedder, PatchEmbedder, PatchProjection, TimeEmbedder, TimeMlp, position_table,
};
use super::linear::Linear;
use super::mlp::Mlp;
use super::naming::name_parameters;
use super::norm::{LayerNorm, QK_EPSILON};
use super::sit::{FinalLayer, Sit};

/// Standard deviation of the label table and of the time embedding's weights.
const EMBEDDING_STD: f32 = 0.02;

impl Sit {
    /// A new network on `device`; trainable if that device has autodiff, else as soon as [`train`](burn::module::Module::train) is called.
    ///
    /// All values are drawn on the CPU in the order of the fields, so they depend on the generator's state alone. The
    /// parameters' ids are those of `student.NAME`. The error is that of [`SitConfig::validate`].
    pub fn init(config: &SitConfig, rng: &mut impl Rng, device: &Device) -> Result<Self, KeyError> {
        config.validate()?;
        let width = config.hidden_size;
        let mut init = Initialiser { rng, device };
        let x_embedder = init.patch_embedder(config);
        let t_embedder = TimeEmbedder {
            mlp: TimeMlp {
                _0: init.normal_linear(TIME_FEATURES, width),
                _2: init.normal_linear(width, width),
            },
            frequencies: TimeEmbedder::frequencies(device),
        };
        let rows = config.num_classes + 1;
        let y_embedder = LabelEmbedder {
            embedding_table: EmbeddingTable {
                weight: parameter(init.normal(rows * width), [rows, width], device),
            },
        };
        let blocks = (0..config.depth).map(|_| init.block(config)).collect();
        let sit = Self {
            x_embedder,
            t_embedder,
            y_embedder,
            pos_embed: Param::from_data(position_table(width, config.grid()), device).set_require_grad(false),
            blocks,
            final_layer: FinalLayer {
                linear: init.zero_linear(width, config.patch_width()),
                adaLN_modulation: Modulation {
                    _1: init.zero_linear(width, 2 * width),
                },
            },
            config: config.clone(),
            precision: Precision::F32,
        };
        Ok(name_parameters(sit, "student"))
    }
}

struct Initialiser<'a, R> {
    rng: &'a mut R,
    device: &'a Device,
}

impl<R: Rng> Initialiser<'_, R> {
    fn block(&mut self, config: &SitConfig) -> Block {
        let width = config.hidden_size;
        let norm = || config.qk_norm.then(|| self.unit_norm(config.head_width()));
        let (q_norm, k_norm) = (norm(), norm());
        Block {
            attn: Attention {
                qkv: self.xavier_linear(width, 3 * width),
                q_norm,
                k_norm,
                proj: self.xavier_linear(width, width),
                heads: config.num_heads,
            },
            mlp: Mlp {
                fc1: self.xavier_linear(width, config.mlp_width()),
                fc2: self.xavier_linear(config.mlp_width(), width),
            },
            adaLN_modulation: Modulation {
                _1: self.zero_linear(width, 6 * width),
            },
        }
    }

    /// The convolution is initialised as the Linear that it is.
    fn patch_embedder(&mut self, config: &SitConfig) -> PatchEmbedder {
        let (width, channels, patch) = (config.hidden_size, config.in_channels, config.patch_size);
        let inputs = config.patch_width();
        PatchEmbedder {
            proj: PatchProjection {
                weight: parameter(self.xavier(inputs, width), [width, channels, patch, patch], self.device),
                bias: self.zeros(width),
            },
        }
    }

    fn xavier_linear(&mut self, inputs: usize, outputs: usize) -> Linear {
        let weight = self.xavier(inputs, outputs);
        self.linear(weight, inputs, outputs)
    }

    fn normal_linear(&mut self, inputs: usize, outputs: usize) -> Linear {
        let weight = self.normal(inputs * outputs);
        self.linear(weight, inputs, outputs)
    }

    fn zero_linear(&self, inputs: usize, outputs: usize) -> Linear {
        self.linear(vec![0.0; inputs * outputs], inputs, outputs)
    }

    fn linear(&self, weight: Vec<f32>, inputs: usize, outputs: usize) -> Linear {
        Linear {
            weight: parameter(weight, [outputs, inputs], self.device),
            bias: self.zeros(outputs),
        }
    }

    fn unit_norm(&self, width: usize) -> LayerNorm {
        LayerNorm {
            weight: parameter(vec![1.0; width], [width], self.device),
            bias: self.zeros(width),
            epsilon: QK_EPSILON,
        }
    }

    fn zeros(&self, width: usize) -> Param<Tensor<1>> {
        parameter(vec![0.0; width], [width], self.device)
    }

    /// Xavier uniform: within `±sqrt(6 / (inputs + outputs))`.
    fn xavier(&mut self, inputs: usize, outputs: usize) -> Vec<f32> {
        let bound = (6.0 / (inputs + outputs) as f64).sqrt() as f32;
        (0..inputs * outputs)
            .map(|_| bound * (2.0 * self.rng.random::<f32>() - 1.0))
            .collect()
    }

    fn normal(&mut self, count: usize) -> Vec<f32> {
        (0..count)
            .map(|_| {
                let value: f32 = StandardNormal.sample(self.rng);
                EMBEDDING_STD * value
            })
            .collect()
    }
}

fn parameter<const D: usize>(values: Vec<f32>, shape: [usize; D], device: &Device) -> Param<Tensor<D>> {
    let tensor = Tensor::from_data(TensorData::new(values, shape), (device, DType::F32));
    Param::from_tensor(tensor)
}
