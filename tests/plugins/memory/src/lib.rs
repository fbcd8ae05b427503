//! A source that remembers: a buffer of each agreement of ranks, whose values tell what it has seen.

use serde::Deserialize;
use sextant_plugin_api::schemars::{self, JsonSchema};
use sextant_plugin_api::{
    Agreement, Buffer, DType, Error, Geometry, Guidance, GuidanceSource, Init, Plan, Step, export_guidance,
};

/// Rows of the bank: more than a batch of the tests has samples.
const ROWS: usize = 20;

/// Settings.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The step, counted from 1, in which the count is a sample's number, which is not the same on every rank.
    own_at: Option<u64>,
}

/// The source.
pub struct Memory(Config);

impl GuidanceSource for Memory {
    type Config = Config;

    fn new(config: Config) -> Result<Self, Error> {
        Ok(Self(config))
    }

    fn plan(&self, geometry: &Geometry) -> Result<Plan, Error> {
        let width = geometry.student().width;
        let bank = Buffer::new("bank", [ROWS, 1], Init::ZEROS).rows();
        let count = Buffer::new("count", [1], Init::ZEROS).dtype(DType::Int);
        Ok(Plan::new()
            .tap(1)
            .buffer(Buffer::new("centre", [1, 1, width], Init::ZEROS).agreement(Agreement::Mean))
            .buffer(bank.agreement(Agreement::Gathered))
            .buffer(count.agreement(Agreement::Replicated)))
    }

    fn guide(&self, step: &Step) -> Result<Guidance, Error> {
        let tokens = step.tap(1)?;
        let ids: Vec<f32> = step.sample_ids().iter().map(|id| *id as f32).collect();
        let steps = step.index() + 1;
        let count = match step.sample_ids().first() {
            Some(id) if self.0.own_at == Some(steps) => *id,
            _ => steps,
        };
        let loss = (tokens.clone() - step.buffer("centre")?).square().mean_per_sample();
        Ok(Guidance::new(loss)
            .buffer("centre", tokens.mean_keep(&[0, 1]))
            .buffer("bank", step.upload(&ids, [ids.len(), 1]))
            .buffer("count", step.upload(&[count as i64], [1])))
    }
}

export_guidance!(Memory, name = "test-memory");
