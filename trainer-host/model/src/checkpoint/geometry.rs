//! The geometry of a network, from the shapes of its tensors.

use serde::Serialize;
use serde_json::{Map, Value};

use super::error::Fault;
use crate::network::SitConfig;
use crate::network::config::TIME_FEATURES;
use crate::network::shapes::Shapes;

/// The published sizes, whose number of heads goes with their depth and width.
const SIZES: [&str; 4] = ["S", "B", "L", "XL"];

/// A network's geometry as far as its tensors tell.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Geometry {
    /// Height and width of the latents.
    pub input_size: usize,
    /// Side of a patch.
    pub patch_size: usize,
    /// Channels of the latents.
    pub in_channels: usize,
    /// Outputs of the final layer for each channel of the latents.
    pub outputs_per_channel: usize,
    /// Width of the tokens.
    pub hidden_size: usize,
    /// Number of blocks.
    pub depth: usize,
    /// Attention heads, which no shape tells without `qk_norm`.
    pub num_heads: Option<usize>,
    /// Number of classes, the null class not counted.
    pub num_classes: usize,
    /// LayerNorm on queries and keys.
    pub qk_norm: bool,
    /// Width of the MLPs over that of the tokens.
    pub mlp_ratio: f64,
}

impl Geometry {
    /// The geometry of tensors with these shapes; `args` are the settings beside them.
    pub(super) fn of(shapes: &Shapes, args: &Map<String, Value>) -> Result<Self, Fault> {
        let refused = |reason: String| Fault::Network(format!("it holds no SiT or DiT: {reason}"));
        let shape = |name: &str| {
            let shape = shapes.get(name);
            shape.ok_or_else(|| {
                let there: Vec<&str> = shapes.keys().map(String::as_str).take(6).collect();
                refused(format!(
                    "there is no tensor `{name}`; there are {}, …",
                    there.join(", ")
                ))
            })
        };
        let odd = |name: &str, wanted: &str| {
            let found = shapes.get(name);
            refused(format!(
                "`{name}` has shape {:?}, wanted is {wanted}",
                found.unwrap_or(&Vec::new())
            ))
        };
        let (patches, table, classes) = (
            "x_embedder.proj.weight",
            "pos_embed",
            "y_embedder.embedding_table.weight",
        );
        let [hidden_size, in_channels, patch_size, other] = shape(patches)?[..] else {
            return Err(odd(patches, "[width, channels, patch, patch]"));
        };
        if patch_size != other || patch_size * in_channels * hidden_size == 0 {
            return Err(odd(patches, "[width, channels, patch, patch]"));
        }
        let [1, tokens, width] = shape(table)?[..] else {
            return Err(odd(table, "[1, tokens, width]"));
        };
        let grid = tokens.isqrt();
        if width != hidden_size || grid * grid != tokens {
            return Err(odd(table, &format!("[1, a square number, {hidden_size}]")));
        }
        let [rows, width] = shape(classes)?[..] else {
            return Err(odd(classes, "[classes + 1, width]"));
        };
        if width != hidden_size || rows == 0 {
            return Err(odd(classes, &format!("[classes + 1, {hidden_size}]")));
        }
        let time = "t_embedder.mlp.0.weight";
        if shape(time)?[..] != [hidden_size, TIME_FEATURES] {
            return Err(odd(time, &format!("[{hidden_size}, {TIME_FEATURES}]")));
        }
        let last = "final_layer.linear.weight";
        let outputs = match shape(last)?[..] {
            [outputs, width] if width == hidden_size => outputs,
            _ => return Err(odd(last, &format!("[outputs, {hidden_size}]"))),
        };
        let values = patch_size * patch_size * in_channels;
        if outputs == 0 || !outputs.is_multiple_of(values) {
            return Err(odd(last, &format!("a multiple of {values} rows")));
        }
        let hidden = "blocks.0.mlp.fc1.weight";
        let [units, _] = shape(hidden)?[..] else {
            return Err(odd(hidden, "[units, width]"));
        };
        let depth = (0..).take_while(|i| shapes.contains_key(&format!("blocks.{i}.attn.qkv.weight")));
        let depth = depth.count();
        let head = shapes.get("blocks.0.attn.q_norm.weight");
        let head_width = head.and_then(|shape| shape.first()).filter(|width| **width > 0);
        let num_heads = match head_width {
            Some(width) if !hidden_size.is_multiple_of(*width) => {
                return Err(odd(
                    "blocks.0.attn.q_norm.weight",
                    &format!("a width that divides {hidden_size}"),
                ));
            }
            Some(width) => Some(hidden_size / width),
            None => heads(args, depth, hidden_size),
        };
        Ok(Self {
            input_size: grid * patch_size,
            patch_size,
            in_channels,
            outputs_per_channel: outputs / values,
            hidden_size,
            depth,
            num_heads,
            num_classes: rows - 1,
            qk_norm: head.is_some(),
            mlp_ratio: ratio(units, hidden_size),
        })
    }

    /// The network with these heads, of Sextant's own convention.
    pub fn config(&self, num_heads: usize) -> SitConfig {
        SitConfig {
            input_size: self.input_size,
            patch_size: self.patch_size,
            in_channels: self.in_channels,
            hidden_size: self.hidden_size,
            depth: self.depth,
            num_heads,
            num_classes: self.num_classes,
            qk_norm: self.qk_norm,
            mlp_ratio: self.mlp_ratio,
        }
    }
}

/// The ratio whose product with the width, rounded down as a network does it, is `units`.
fn ratio(units: usize, width: usize) -> f64 {
    let ratio = units as f64 / width as f64;
    match (width as f64 * ratio) as usize == units {
        true => ratio,
        false => ratio.next_up(),
    }
}

/// The number of heads by what stands beside the weights, or by the published size of this depth and width.
fn heads(args: &Map<String, Value>, depth: usize, width: usize) -> Option<usize> {
    let own = args.get("network").and_then(|network| network.get("num_heads"));
    if let Some(heads) = own.or(args.get("num_heads")).and_then(Value::as_u64) {
        return usize::try_from(heads).ok().filter(|heads| *heads > 0);
    }
    let mut sizes = SIZES
        .iter()
        .filter_map(|size| SitConfig::named(&format!("{size}/2"), 2, 1, 1, false).ok());
    let size = sizes.find(|size| size.depth == depth && size.hidden_size == width);
    size.map(|size| size.num_heads)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_gives_back_the_units_that_it_was_taken_from() {
        assert_eq!(ratio(32, 8), 4.0);
        for width in (4..=2048).step_by(4) {
            for units in [1, width / 2, width, 4 * width, 4 * width + 1, width * 15 / 11] {
                assert_eq!(
                    (width as f64 * ratio(units, width)) as usize,
                    units,
                    "{units} of {width}"
                );
            }
        }
    }
}
