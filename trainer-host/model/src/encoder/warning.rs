//! Warnings of an encoder's recipe: settings that are possible and hardly meant.

use sextant_data::Dataset;
use sextant_recipe::{EncoderConfig, Objective};

/// A cause for a warning. Its text names the key at fault and says what would be right.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EncoderWarning {
    /// A learning rate that rises beyond the end.
    #[error(
        "training.warm_up is {warm_up}, and training.steps is {steps}: it never reaches training.learning_rate; warm up in fewer"
    )]
    RateNotReached {
        /// Steps of the warm-up.
        warm_up: u64,
        /// Steps in all.
        steps: u64,
    },
    /// Weight decay that takes away more than there is.
    #[error(
        "training.learning_rate times training.weight_decay is {product}: a step takes that many times each weight away from it; it must be far below 1"
    )]
    Overshoots {
        /// The part of a weight that a step takes away.
        product: f64,
    },
    /// A batch that has images more than once.
    #[error(
        "training.batch_size is {batch}, and there are {images} training images: a batch has some of them twice; it must be at most {images}"
    )]
    BatchTooLarge {
        /// Images of a step.
        batch: usize,
        /// Images that there are.
        images: usize,
    },
    /// Two views that are the same.
    #[error(
        "views change nothing of an image: its two views are the same, and nothing is learned from their likeness; give views.area below 1, or any other change"
    )]
    SameViews,
    /// Classes of which there is one.
    #[error(
        "objective.kind is \"classes\", and the data has one class: there is nothing to tell apart; take \"contrast\""
    )]
    OneClass,
}

impl EncoderWarning {
    /// All that is to be said of a recipe with its data.
    pub fn of(config: &EncoderConfig, dataset: &Dataset) -> Vec<Self> {
        let (views, training) = (&config.views, &config.training);
        let (batch, images) = (training.batch_size, dataset.train().len());
        let product = training.learning_rate * f64::from(training.weight_decay);
        let still = views.area == 1.0
            && [views.rotation, views.colour, views.noise]
                .iter()
                .all(|change| *change == 0.0)
            && [views.mirror, views.shuffle, views.grey]
                .iter()
                .all(|chance| *chance == 0.0);
        let one_class = dataset.subclass_names().len() < 2;
        let causes = [
            (
                training.warm_up > training.steps,
                Self::RateNotReached {
                    warm_up: training.warm_up,
                    steps: training.steps,
                },
            ),
            (product >= 1.0, Self::Overshoots { product }),
            (batch > images, Self::BatchTooLarge { batch, images }),
            (config.objective.kind == Objective::Contrast && still, Self::SameViews),
            (config.objective.kind == Objective::Classes && one_class, Self::OneClass),
        ];
        let met = causes.into_iter().filter(|(is_met, _)| *is_met);
        met.map(|(_, warning)| warning).collect()
    }
}

#[cfg(test)]
mod tests {
    use sextant_data::load;
    use sextant_recipe::DataConfig;

    use super::*;

    fn of(change: impl FnOnce(&mut EncoderConfig)) -> Vec<EncoderWarning> {
        let mut config: EncoderConfig = toml::from_str(include_str!("../../../../configs/encoder.toml")).unwrap();
        config.data = DataConfig::emoji(8, 0);
        let dataset = load(&config.data).unwrap();
        change(&mut config);
        EncoderWarning::of(&config, &dataset)
    }

    #[test]
    fn what_is_hardly_meant_is_named() {
        use EncoderWarning::*;

        assert_eq!(of(|_| {}), []);
        let short = of(|config| config.training.steps = 49);
        assert_eq!(short, [RateNotReached { warm_up: 50, steps: 49 }]);
        let strong = of(|config| (config.training.learning_rate, config.training.weight_decay) = (2.0, 0.5));
        assert_eq!(strong, [Overshoots { product: 1.0 }]);
        let large = of(|config| config.training.batch_size = 1526);
        assert_eq!(
            large,
            [BatchTooLarge {
                batch: 1526,
                images: 1525
            }]
        );
        let still = of(|config| {
            let views = &mut config.views;
            (views.area, views.rotation, views.mirror, views.colour, views.noise) = (1.0, 0.0, 0.0, 0.0, 0.0);
        });
        assert_eq!(still, [SameViews]);
    }
}
