//! The geometry of a SiT, and what makes one impossible to build.

use serde::{Deserialize, Serialize};
use sextant_recipe::{KeyError, ModelRecipe};

/// Width of the sinusoidal time features (128 cosines, then 128 sines). Fixed by the published checkpoints.
pub const TIME_FEATURES: usize = 256;

/// Everything that fixes the shapes of a [`Sit`](super::Sit).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SitConfig {
    /// Height and width of the latents; they are square.
    pub input_size: usize,
    /// Side of the square patch that becomes one token.
    pub patch_size: usize,
    /// Channels of the latents, and of the output.
    pub in_channels: usize,
    /// Width D of the tokens.
    pub hidden_size: usize,
    /// Number of blocks.
    pub depth: usize,
    /// Attention heads; each is `hidden_size / num_heads` wide.
    pub num_heads: usize,
    /// Number of classes, the null class not counted.
    pub num_classes: usize,
    /// Passes each head's queries and keys through an affine layer norm.
    #[serde(default)]
    pub qk_norm: bool,
    /// Hidden width of a block's MLP, in multiples of `hidden_size`.
    #[serde(default = "default_mlp_ratio")]
    pub mlp_ratio: f64,
}

fn default_mlp_ratio() -> f64 {
    4.0
}

impl SitConfig {
    /// The network for latents of `channels` × `side` × `side` and `classes` classes.
    ///
    /// # Errors
    /// Says which key of `[model]` is missing or does not fit.
    pub fn of(recipe: &ModelRecipe, side: usize, channels: usize, classes: usize) -> Result<Self, KeyError> {
        let named = recipe.size.as_ref().map(|size| {
            let named = Self::named(size, side, channels, classes, recipe.qk_norm);
            named.map_err(|e| KeyError(format!("model.size: {e}")))
        });
        let named = named.transpose()?;
        let given = [recipe.patch_size, recipe.hidden_size, recipe.depth, recipe.num_heads];
        if let Some(size) = &recipe.size
            && given.iter().all(Option::is_some)
        {
            return Err(KeyError(format!(
                "model.size is {size:?}, and nothing of it is left: patch_size, hidden_size, depth and num_heads are all given \
                 beside it; take the size away, or those that it shall decide"
            )));
        }
        let key = |name: &str, given: Option<usize>, of: fn(&SitConfig) -> usize| {
            given.or(named.as_ref().map(of)).ok_or_else(|| {
                KeyError(format!(
                    "model.{name} is missing: give it, or a published size such as model.size = \"B/2\""
                ))
            })
        };
        let config = Self {
            input_size: side,
            patch_size: key("patch_size", recipe.patch_size, |c| c.patch_size)?,
            in_channels: channels,
            hidden_size: key("hidden_size", recipe.hidden_size, |c| c.hidden_size)?,
            depth: key("depth", recipe.depth, |c| c.depth)?,
            num_heads: key("num_heads", recipe.num_heads, |c| c.num_heads)?,
            num_classes: classes,
            qk_norm: recipe.qk_norm,
            mlp_ratio: recipe.mlp_ratio,
        };
        config.validate().map_err(|e| KeyError(format!("model: {e}")))?;
        Ok(config)
    }

    /// The published geometry `SIZE/PATCH`: S, B, L or XL with patch 2, 4 or 8, as in `"B/2"`.
    ///
    /// The error lists the names that exist. The result is not validated: the patch may not divide `input_size`.
    pub fn named(
        name: &str,
        input_size: usize,
        in_channels: usize,
        num_classes: usize,
        qk_norm: bool,
    ) -> Result<Self, KeyError> {
        let unknown = || {
            KeyError(format!(
                "model `{name}` is not known: write S, B, L or XL, a slash, and patch 2, 4 or 8, as in `B/2`"
            ))
        };
        let (size, patch) = name.split_once('/').ok_or_else(unknown)?;
        let (depth, hidden_size, num_heads) = match size {
            "S" => (12, 384, 6),
            "B" => (12, 768, 12),
            "L" => (24, 1024, 16),
            "XL" => (28, 1152, 16),
            _ => return Err(unknown()),
        };
        let patch_size = match patch {
            "2" => 2,
            "4" => 4,
            "8" => 8,
            _ => return Err(unknown()),
        };
        Ok(Self {
            input_size,
            patch_size,
            in_channels,
            hidden_size,
            depth,
            num_heads,
            num_classes,
            qk_norm,
            mlp_ratio: default_mlp_ratio(),
        })
    }

    /// Refuses a geometry that no network can have. The message names the key and what would be right.
    pub fn validate(&self) -> Result<(), KeyError> {
        let refused = |reason: String| Err(KeyError(reason));
        let (input_size, patch_size, mlp_ratio) = (self.input_size, self.patch_size, self.mlp_ratio);
        let (hidden_size, num_heads) = (self.hidden_size, self.num_heads);
        for (key, value) in [
            ("input_size", input_size),
            ("patch_size", patch_size),
            ("in_channels", self.in_channels),
            ("hidden_size", hidden_size),
            ("depth", self.depth),
            ("num_heads", num_heads),
            ("num_classes", self.num_classes),
        ] {
            if value == 0 {
                return refused(format!("{key} is 0: it must be at least 1"));
            }
        }
        if !input_size.is_multiple_of(patch_size) {
            let sides = divisors(input_size);
            return refused(format!(
                "patch_size {patch_size} does not divide input_size {input_size}: use one of {sides:?}"
            ));
        }
        if !hidden_size.is_multiple_of(4) {
            let next = hidden_size.next_multiple_of(4);
            return refused(format!(
                "hidden_size {hidden_size} is not a multiple of 4, which the two-dimensional position table needs: use {next}"
            ));
        }
        if !hidden_size.is_multiple_of(num_heads) {
            let heads = divisors(hidden_size);
            return refused(format!(
                "num_heads {num_heads} does not divide hidden_size {hidden_size}: use one of {heads:?}"
            ));
        }
        if !mlp_ratio.is_finite() || self.mlp_width() == 0 {
            let least = 1.0 / hidden_size as f64;
            return refused(format!(
                "mlp_ratio {mlp_ratio} leaves the MLP without a unit: it must be a finite number of at least {least} (4 is \
                 usual)"
            ));
        }
        Ok(())
    }

    /// Tokens along one side.
    pub fn grid(&self) -> usize {
        self.input_size / self.patch_size
    }

    /// Tokens of one sample, row by row.
    pub fn tokens(&self) -> usize {
        self.grid() * self.grid()
    }

    /// The label that stands for "no label": the last row of the label table.
    pub fn null_class(&self) -> usize {
        self.num_classes
    }

    /// Width of one attention head.
    pub fn head_width(&self) -> usize {
        self.hidden_size / self.num_heads
    }

    /// Hidden width of a block's MLP, rounded down.
    pub fn mlp_width(&self) -> usize {
        (self.hidden_size as f64 * self.mlp_ratio) as usize
    }

    /// Values in one patch: `patch_size^2 * in_channels`.
    pub fn patch_width(&self) -> usize {
        self.patch_size * self.patch_size * self.in_channels
    }

    /// Number of scalars that are trained: all but the position table.
    pub fn trainable_count(&self) -> usize {
        self.parameter_count() - self.tokens() * self.hidden_size
    }

    /// Number of scalars in all parameters, the fixed position table included.
    pub fn parameter_count(&self) -> usize {
        let d = self.hidden_size;
        let linear = |inputs: usize, outputs: usize| inputs * outputs + outputs;
        let norms = if self.qk_norm { 4 * self.head_width() } else { 0 };
        let block = linear(d, 6 * d)
            + linear(d, 3 * d)
            + linear(d, d)
            + norms
            + linear(d, self.mlp_width())
            + linear(self.mlp_width(), d);
        linear(self.patch_width(), d)
            + self.tokens() * d
            + linear(TIME_FEATURES, d)
            + linear(d, d)
            + (self.num_classes + 1) * d
            + self.depth * block
            + linear(d, 2 * d)
            + linear(d, self.patch_width())
    }
}

fn divisors(n: usize) -> Vec<usize> {
    (1..=n).filter(|k| n.is_multiple_of(*k)).collect()
}

#[cfg(test)]
impl SitConfig {
    /// A network that one can count by hand: 4 tokens of width 8 in 2 blocks with 2 heads, patches of 12 values, an MLP of 32.
    pub(crate) fn countable() -> Self {
        Self {
            input_size: 4,
            patch_size: 2,
            in_channels: 3,
            hidden_size: 8,
            depth: 2,
            num_heads: 2,
            num_classes: 3,
            qk_norm: true,
            mlp_ratio: 4.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> SitConfig {
        SitConfig {
            input_size: 8,
            patch_size: 2,
            in_channels: 4,
            hidden_size: 32,
            depth: 4,
            num_heads: 4,
            num_classes: 10,
            qk_norm: true,
            mlp_ratio: 4.0,
        }
    }

    #[test]
    fn should_know_the_published_sizes() {
        // The counts of the SiT paper (table 1) in millions, at latents of 32x32x4 and 1000 classes.
        for (name, millions) in [("S/2", 33), ("B/2", 130), ("L/2", 458), ("XL/2", 675)] {
            let config = SitConfig::named(name, 32, 4, 1000, false).unwrap();
            config.validate().unwrap();
            let count = config.parameter_count() as f64 / 1e6;
            let off = (count - millions as f64).abs();
            assert!(off < 1.5, "{name}: {count} million parameters");
        }
    }

    #[test]
    fn should_refuse_an_unknown_name_with_the_names_that_exist() {
        for name in ["M/2", "B/3", "B", "", "/", "B/2/2"] {
            let error = SitConfig::named(name, 32, 4, 1000, false).unwrap_err().0;
            assert!(error.contains("`B/2`"), "{error}");
        }
    }

    #[test]
    fn should_refuse_a_size_of_which_nothing_is_left() {
        let recipe = |text: &str| toml::from_str::<ModelRecipe>(text).unwrap();
        let build = |text: &str| SitConfig::of(&recipe(text), 32, 3, 9);
        let some = build("size = \"S/4\"\nhidden_size = 96\ndepth = 3\nnum_heads = 4").unwrap();
        assert_eq!((some.patch_size, some.hidden_size, some.depth), (4, 96, 3));
        let error = build("size = \"S/4\"\npatch_size = 4\nhidden_size = 96\ndepth = 3\nnum_heads = 4")
            .unwrap_err()
            .0;
        assert!(error.contains("model.size is \"S/4\""), "{error}");
    }

    #[test]
    fn should_name_the_key_at_fault() {
        type Fault = fn(&mut SitConfig);
        let cases: [(&str, Fault); 9] = [
            ("input_size", |c| c.input_size = 0),
            ("patch_size", |c| c.patch_size = 3),
            ("in_channels", |c| c.in_channels = 0),
            ("hidden_size", |c| c.hidden_size = 30),
            ("depth", |c| c.depth = 0),
            ("num_heads", |c| c.num_heads = 5),
            ("num_classes", |c| c.num_classes = 0),
            ("mlp_ratio", |c| c.mlp_ratio = -1.0),
            ("mlp_ratio", |c| c.mlp_ratio = f64::NAN),
        ];
        for (key, break_it) in cases {
            let mut config = small();
            break_it(&mut config);
            let error = config.validate().unwrap_err().0;
            assert!(error.starts_with(key), "{key}: {error}");
        }
        small().validate().unwrap();
    }

    #[test]
    fn should_refuse_unknown_keys_and_default_the_ratio() {
        let text = "input_size = 8\npatch_size = 2\nin_channels = 4\nhidden_size = 32\ndepth = 4\nnum_heads = 4\nnum_classes = 10\nqk_norm = true\n";
        assert_eq!(toml::from_str::<SitConfig>(text).unwrap(), small());
        assert!(toml::from_str::<SitConfig>(&format!("{text}heads = 4\n")).is_err());
    }
}
