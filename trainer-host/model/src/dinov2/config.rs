//! The configuration of a DINOv2: transformers' `config.json`.

use serde::Deserialize;

/// `model_type` of the two kinds.
const PLAIN: &str = "dinov2";
const WITH_REGISTERS: &str = "dinov2_with_registers";

/// Keys and defaults are those of transformers. What only its training reads is not here.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct Dinov2Config {
    /// `dinov2` or `dinov2_with_registers`.
    pub model_type: String,
    /// Width D of the tokens.
    pub hidden_size: usize,
    /// Number of blocks.
    pub num_hidden_layers: usize,
    /// Attention heads; each is `hidden_size / num_attention_heads` wide.
    pub num_attention_heads: usize,
    /// Hidden width of a block's perceptron, in widths of a token.
    pub mlp_ratio: f64,
    /// The activation: `gelu`, the exact one. A gated perceptron has SiLU whatever this says.
    pub hidden_act: String,
    /// Inside the square root of every norm.
    pub layer_norm_eps: f64,
    /// Side of the images of its position table.
    pub image_size: usize,
    /// Side of a patch.
    pub patch_size: usize,
    /// Channels of an image.
    pub num_channels: usize,
    /// Queries, keys and values have biases.
    pub qkv_bias: bool,
    /// A gated perceptron, as in the giant.
    pub use_swiglu_ffn: bool,
    /// Tokens between the class token and the patches that stand for nothing; only with registers.
    pub num_register_tokens: usize,
}

impl Default for Dinov2Config {
    fn default() -> Self {
        Self {
            model_type: String::new(),
            hidden_size: 768,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            mlp_ratio: 4.0,
            hidden_act: "gelu".into(),
            layer_norm_eps: 1e-6,
            image_size: 224,
            patch_size: 16,
            num_channels: 3,
            qkv_bias: true,
            use_swiglu_ffn: false,
            num_register_tokens: 4,
        }
    }
}

impl Dinov2Config {
    /// Register tokens; 0 for the kind without.
    pub fn registers(&self) -> usize {
        match self.model_type == WITH_REGISTERS {
            true => self.num_register_tokens,
            false => 0,
        }
    }

    /// Patches a side of the position table.
    pub fn native_grid(&self) -> usize {
        self.image_size / self.patch_size
    }

    /// Width of one head.
    pub fn head_width(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }

    /// Hidden width of a block's perceptron. A gated one has two thirds of it, rounded up to a multiple of 8.
    pub fn mlp_width(&self) -> usize {
        let width = (self.hidden_size as f64 * self.mlp_ratio) as usize;
        match self.use_swiglu_ffn {
            true => (width * 2 / 3).next_multiple_of(8),
            false => width,
        }
    }

    /// # Errors
    /// The first key with a value that cannot be built, and what can.
    pub fn validate(&self) -> Result<(), String> {
        if ![PLAIN, WITH_REGISTERS].contains(&self.model_type.as_str()) {
            let kind = &self.model_type;
            return Err(format!(
                "model_type = {kind:?}; {PLAIN:?} and {WITH_REGISTERS:?} are read here"
            ));
        }
        for (key, value, most) in [
            ("hidden_size", self.hidden_size, 1 << 16),
            ("num_hidden_layers", self.num_hidden_layers, 1000),
            ("num_attention_heads", self.num_attention_heads, 1 << 16),
            ("patch_size", self.patch_size, 1024),
            ("image_size", self.image_size, 1 << 14),
        ] {
            if !(1..=most).contains(&value) {
                return Err(format!("{key} = {value}; 1 to {most} are possible"));
            }
        }
        let (width, heads) = (self.hidden_size, self.num_attention_heads);
        if !width.is_multiple_of(heads) {
            return Err(format!(
                "num_attention_heads = {heads} does not divide hidden_size = {width}"
            ));
        }
        if self.image_size < self.patch_size {
            return Err(format!(
                "patch_size = {} is above image_size = {}",
                self.patch_size, self.image_size
            ));
        }
        if self.num_channels != 3 {
            return Err(format!("num_channels = {}; 3 are possible", self.num_channels));
        }
        if !(self.mlp_ratio > 0.0 && self.mlp_ratio <= 1e3) || self.mlp_width() == 0 {
            return Err(format!(
                "mlp_ratio = {}; above 0, and at most 1000, is possible",
                self.mlp_ratio
            ));
        }
        if self.hidden_act != "gelu" && !self.use_swiglu_ffn {
            return Err(format!("hidden_act = {:?}; \"gelu\" is possible", self.hidden_act));
        }
        if self.layer_norm_eps.is_nan() || self.layer_norm_eps <= 0.0 {
            return Err(format!("layer_norm_eps = {}; it must be above 0", self.layer_norm_eps));
        }
        if !self.qkv_bias {
            return Err("qkv_bias = false; only true is possible".into());
        }
        if self.registers() > 1 << 10 {
            return Err(format!(
                "num_register_tokens = {}; up to 1024 are possible",
                self.registers()
            ));
        }
        Ok(())
    }
}
