//! Services of the host that a source asks for: its networks, its path and its random numbers.

use sextant_plugin_api::{Condition, Error};

use super::{Context, Pass, State};
use crate::compute::{Forward, Operands, Random};
use crate::draw::Draws;
use crate::{Row, Tap, Value};

/// Depth of a block; none for the output.
fn depth(tap: Tap) -> Option<u32> {
    match tap {
        Tap::Block(depth) => Some(depth),
        _ => None,
    }
}

impl State {
    fn context(&self) -> Result<&Context, Error> {
        self.context.as_ref().ok_or_else(|| "there is no step".into())
    }

    pub(super) fn forward(&mut self, operands: &Operands<'_>, forward: &Forward) -> Result<Vec<Value>, Error> {
        let Forward {
            network,
            taps,
            rows,
            conditions,
        } = forward;
        let (x_t, t) = (operands.float(0)?, operands.float(1)?);
        let context = self.context()?;
        let inputs = &context.inputs;
        let (tokens, width, declared) = context
            .networks
            .get(network)
            .ok_or_else(|| format!("the geometry has no {network:?} network that can be asked"))?;
        if let Some(tap) = taps.iter().find(|tap| !declared.contains(tap)) {
            return Err(format!("the plan declares {declared:?} of the {network:?} network, but not {tap:?}").into());
        }
        let mut wanted = inputs.x.shape.clone();
        wanted[0] = rows.len();
        if x_t.shape != wanted || t.shape != [rows.len()] || conditions.len() != rows.len() {
            return Err(format!(
                "{} rows, x_t {:?}, t {:?} and {} conditions do not fit one another",
                rows.len(),
                x_t.shape,
                t.shape,
                conditions.len()
            )
            .into());
        }
        let mut pass = Pass {
            network: *network,
            depths: taps.iter().filter_map(|tap| depth(*tap)).collect(),
            output: taps.contains(&Tap::Output),
            rows: rows.to_vec(),
            conditions: Vec::new(),
            x_t: x_t.clone(),
            t: t.data.clone(),
        };
        let mut results = vec![Vec::new(); taps.len()];
        let row_width = x_t.data.len().checked_div(rows.len()).unwrap_or(0);
        for (i, (row, code)) in rows.iter().zip(conditions).enumerate() {
            let sample = *row as usize;
            if sample >= inputs.batch() {
                return Err(format!("row {row} is asked for, but the batch has {} samples", inputs.batch()).into());
            }
            let condition = Condition::from_code(*code).ok_or_else(|| format!("condition {code} does not exist"))?;
            pass.conditions.push(condition);
            for (tap, result) in taps.iter().zip(&mut results) {
                let row = Row {
                    network: *network,
                    depth: depth(*tap),
                    sample,
                    condition,
                    label: match condition {
                        Condition::Own => inputs.labels[sample],
                        Condition::Null => context.null_class,
                        Condition::Dropped => inputs.dropped[sample],
                    },
                    x_t: &x_t.data[i * row_width..][..row_width],
                    t: t.data[i],
                    tokens: *tokens,
                    width: *width,
                };
                let answer = (inputs.network)(&row);
                if answer.len() != row.numbers() {
                    return Err(format!(
                        "the test's network answered {} numbers for {tap:?}, not {}",
                        answer.len(),
                        row.numbers()
                    )
                    .into());
                }
                result.extend(answer);
            }
        }
        let tokens = [rows.len(), *tokens, *width];
        let shape = |tap: &Tap| if *tap == Tap::Output { &wanted[..] } else { &tokens };
        let results = taps.iter().zip(results);
        let results = results.map(|(tap, data)| Value::new(shape(tap), data)).collect();
        self.trace.passes.push(pass);
        Ok(results)
    }

    pub(super) fn random(&self, random: &Random) -> Result<Value, Error> {
        let inputs = &self.context()?.inputs;
        let stream = format!("guidance/{}/{}", inputs.instance, random.tag);
        let count = random.shape.iter().product();
        let draws = |id: &u64| Draws::new(&stream, &[inputs.seed, inputs.index, *id]);
        let samples = inputs.ids.iter().map(draws);
        let data: Vec<f64> = samples
            .flat_map(|mut draws| draws.many(random.distribution, count))
            .collect();
        Ok(Value::new([&[inputs.ids.len()], &random.shape[..]].concat(), data))
    }

    pub(super) fn diffuse(&self, operands: &Operands<'_>) -> Result<Value, Error> {
        let (x, n, t) = (operands.float(0)?, operands.float(1)?, operands.float(2)?);
        if x.shape.is_empty() || x.shape != n.shape || t.shape != x.shape[..1] {
            return Err(format!(
                "x {:?}, n {:?} and t {:?} do not fit one another",
                x.shape, n.shape, t.shape
            )
            .into());
        }
        Ok(self.context()?.inputs.path.mix(x, n, &t.data, false))
    }

    pub(super) fn coefficients(&self, t: &Value) -> Result<Vec<Value>, Error> {
        let path = self.context()?.inputs.path;
        Ok((0..4).map(|i| t.map(|t| path.coefficients(t)[i])).collect())
    }
}
