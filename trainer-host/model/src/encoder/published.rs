//! A published encoder, DINOv2, as REPA and HASTE use it.

use burn::backend::DispatchTensor;
use burn::tensor::{Device, Tensor, TensorData};
use sextant_data::{Dataset, Field};
use sextant_recipe::Precision;

use super::base::FEATURES;
use super::error::EncoderError;
use super::target::is_published;
use crate::dinov2::{Dinov2, Dinov2Output, LAYOUT, Resampling};
use crate::precision::held_in;

/// The batch field that holds an encoder's attention logits.
pub const ATTENTION: &str = "attention";

/// Blocks whose attention is given where a recipe names none: the last, as HASTE aligns 9 to 12 of DINOv2-B.
const LAST_BLOCKS: usize = 4;

/// Tokens that are encoded together, over all images.
const CHUNK: usize = 64 * 256;

/// A DINOv2, and the blocks whose attention it gives.
#[derive(Debug, Clone)]
pub struct Published {
    network: Dinov2,
    blocks: Vec<usize>,
}

impl Published {
    /// Reads `hf:owner/name`, or a folder in transformers' layout.
    ///
    /// # Errors
    /// A network that cannot be found or read.
    pub fn load(name: &str, device: &Device) -> Result<Self, EncoderError> {
        let located = LAYOUT.locate(name)?;
        let network = Dinov2::load(&located.path, device).map_err(|source| EncoderError::Dinov2 {
            name: name.to_owned(),
            source,
        })?;
        let depth = network.config().num_hidden_layers;
        let blocks = (depth.saturating_sub(LAST_BLOCKS) + 1..=depth).collect();
        Ok(Self { network, blocks })
    }

    /// True for the names that [`Published::load`] reads: of the hub, or of a folder.
    pub fn is_named_by(name: &str) -> bool {
        is_published(name)
    }

    /// The same with the attention of `blocks`, counted from 1; of the last four if none are given.
    ///
    /// # Errors
    /// Blocks that it has not, or not in rising order.
    pub fn with_attention(mut self, blocks: Option<&[usize]>) -> Result<Self, EncoderError> {
        let depth = self.network.config().num_hidden_layers;
        if let Some(blocks) = blocks {
            let sorted = blocks.is_sorted_by(|one, next| one < next);
            if blocks.is_empty() || !sorted || blocks.iter().any(|block| !(1..=depth).contains(block)) {
                return Err(EncoderError::Attention {
                    asked: blocks.to_vec(),
                    reason: format!("name blocks from 1 to {depth} in rising order"),
                });
            }
            self.blocks = blocks.to_vec();
        }
        Ok(self)
    }

    /// The same with its matrices in this type.
    pub(super) fn held_in(self, precision: Precision) -> Self {
        Self {
            network: held_in(self.network, precision),
            ..self
        }
    }

    /// The network.
    pub fn network(&self) -> &Dinov2 {
        &self.network
    }

    /// `[T, D]` of the features and `[blocks, heads, T, T]` of the attention logits, T being `grid^2`.
    pub fn fields(&self, grid: usize) -> Vec<(String, Vec<usize>)> {
        let (config, tokens) = (self.network.config(), grid * grid);
        let attention = vec![self.blocks.len(), config.num_attention_heads, tokens, tokens];
        vec![
            (FEATURES.to_owned(), vec![tokens, config.hidden_size]),
            (ATTENTION.to_owned(), attention),
        ]
    }

    /// Output for images `[B, 3, H, W]` in 0 to 1, as REPA asks it: images resized to `grid` patches a side, its position
    /// table with them. REPA's `16 * resolution / 256` patches are the tokens of its student; here `grid` is the student's in any case.
    pub fn encode(&self, images: Tensor<4>, grid: usize, attention: bool) -> Dinov2Output {
        let blocks = if attention { &self.blocks[..] } else { &[] };
        let images = self.network.preprocess(images, grid);
        self.network.forward(images, Resampling::Antialiased, blocks)
    }

    /// Those of its fields that are `wanted`, `[B, …]`, for pictures `[B, 3, S, S]` with values from 0 to 255.
    pub(super) fn fields_of(
        &self,
        pictures: Tensor<4>,
        grid: usize,
        wanted: &[String],
    ) -> Vec<(String, DispatchTensor)> {
        let wants = |field: &str| wanted.iter().any(|name| name == field);
        let (count, together) = (pictures.dims()[0], together(grid));
        let (mut features, mut attention) = (Vec::new(), Vec::new());
        for start in (0..count).step_by(together) {
            let part = pictures.clone().narrow(0, start, together.min(count - start));
            let output = self.encode(part / 255.0, grid, wants(ATTENTION));
            if wants(ATTENTION) {
                attention.push(output.patch_logits());
            }
            if wants(FEATURES) {
                features.push(output.patches);
            }
        }
        let features = (!features.is_empty()).then(|| Tensor::cat(features, 0).into_dispatch());
        let attention = (!attention.is_empty()).then(|| Tensor::cat(attention, 0).into_dispatch());
        let fields = [(FEATURES, features), (ATTENTION, attention)].into_iter();
        fields
            .filter_map(|(name, values)| Some((name.to_owned(), values?)))
            .collect()
    }

    pub(super) fn add_fields(
        &self,
        dataset: &mut Dataset,
        grid: usize,
        wanted: &[String],
        device: &Device,
    ) -> Result<(), EncoderError> {
        let mut fields = self.fields(grid);
        fields.retain(|(name, _)| wanted.contains(name));
        let attention = fields.iter().any(|(name, _)| name == ATTENTION);
        let mut values: Vec<Vec<f32>> = vec![Vec::new(); fields.len()];
        let ids: Vec<usize> = (0..dataset.len()).collect();
        for chunk in ids.chunks(together(grid)) {
            let pictures = dataset.pictures(chunk)?;
            let shape = [chunk.len(), 3, pictures.side, pictures.side];
            let images = Tensor::<4>::from_data(TensorData::new(pictures.planes(), shape), device);
            let output = self.encode(images / 255.0, grid, attention);
            for ((name, _), values) in fields.iter().zip(&mut values) {
                let data = match name == ATTENTION {
                    true => output.patch_logits().into_data(),
                    false => output.patches.clone().into_data(),
                };
                values.extend(data.iter::<f32>());
            }
        }
        for ((name, shape), values) in fields.into_iter().zip(values) {
            dataset.insert_field(&name, Field { shape, values })?;
        }
        Ok(())
    }
}

/// Images that are encoded together for a student of `grid` tokens a side.
fn together(grid: usize) -> usize {
    (CHUNK / (grid * grid)).clamp(1, 64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoder::Target;
    use crate::hub::referee::Referee;
    use sextant_data::load;
    use sextant_recipe::{DataConfig, TargetEncoder};
    use std::path::Path;

    /// A folder in the hub's layout, with the tiny DINOv2 of the fixtures.
    fn hub_folder() -> tempfile::TempDir {
        let fixture = include_bytes!("../../../../tests/fixtures/dinov2.safetensors");
        Referee::read(fixture, &LAYOUT).folder
    }

    fn named(folder: &Path, attention: Option<Vec<usize>>) -> Result<Target, EncoderError> {
        let weights = folder.display().to_string();
        let encoder = TargetEncoder {
            weights,
            attention,
            ..TargetEncoder::default()
        };
        Target::load(&encoder, &Device::flex())
    }

    #[test]
    fn should_add_the_fields_that_are_wanted_in_the_declared_shapes() {
        let folder = hub_folder();
        let target = named(folder.path(), None).unwrap();
        let data = DataConfig::emoji(8, 0);
        let fields = target.fields(2);
        assert_eq!(fields[0], (FEATURES.to_owned(), vec![4, 24]));
        assert_eq!(
            fields[1],
            (ATTENTION.to_owned(), vec![3, 3, 4, 4]),
            "of three blocks all"
        );
        let mut dataset = load(&data).unwrap();
        target
            .add_fields(&mut dataset, 2, &[FEATURES.into()], &Device::flex())
            .unwrap();
        assert_eq!(dataset.fields().count(), 1);
        let mut dataset = load(&data).unwrap();
        let both = [FEATURES.into(), ATTENTION.into()];
        target.add_fields(&mut dataset, 2, &both, &Device::flex()).unwrap();
        let batch = dataset.batch(0, 0, 32).unwrap();
        for (name, shape) in fields {
            let field = &batch.fields[&name];
            assert_eq!(field.shape[1..], shape, "{name}");
            assert!(field.values.iter().all(|value| value.is_finite()), "{name}");
        }
        // Each image alone, in the order of the set.
        let Target::Published(published) = &target else {
            panic!("a folder is published")
        };
        let pixels = dataset
            .to_pixels(&dataset.gather(&[batch.ids[7] as usize]).unwrap())
            .unwrap();
        let scaled: Vec<f32> = pixels.into_iter().map(|pixel| f32::from(pixel) / 255.0).collect();
        let image = Tensor::<4>::from_data(TensorData::new(scaled, [1, 8, 8, 3]), &Device::flex());
        let output = published.encode(image.permute([0, 3, 1, 2]), 2, true);
        for (name, alone) in [
            (FEATURES, output.patches.clone().into_data()),
            (ATTENTION, output.patch_logits().into_data()),
        ] {
            let field = &batch.fields[name];
            let size: usize = field.shape[1..].iter().product();
            let stored = &field.values[7 * size..][..size];
            let gap = alone
                .iter::<f32>()
                .zip(stored)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f32::max);
            assert!(gap < 1e-4, "{name}: {gap}");
        }
    }

    #[test]
    fn should_give_the_attention_of_the_blocks_that_it_has() {
        let folder = hub_folder();
        let shape = |target: &Target| target.fields(4)[1].1.clone();
        assert_eq!(shape(&named(folder.path(), Some(vec![1, 3])).unwrap()), [2, 3, 16, 16]);
        for blocks in [vec![], vec![0], vec![4], vec![2, 2], vec![3, 1]] {
            let message = named(folder.path(), Some(blocks)).unwrap_err().to_string();
            assert!(
                message.contains("encoder.attention") && message.contains("1 to 3"),
                "{message}"
            );
        }
        let own = TargetEncoder {
            attention: Some(vec![1]),
            ..TargetEncoder::default()
        };
        let message = Target::load(&own, &Device::flex()).unwrap_err().to_string();
        assert!(
            message.contains("no attention") && message.contains("DINOv2"),
            "{message}"
        );
    }

    #[test]
    fn should_name_the_encoder_whose_folder_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let message = named(folder.path(), None).unwrap_err().to_string();
        assert!(
            message.contains("config.json") && message.contains("model.safetensors"),
            "{message}"
        );
    }
}
