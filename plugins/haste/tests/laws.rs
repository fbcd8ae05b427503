//! The laws of `haste`.

use proptest::prelude::*;
use serde_json::{Value as Json, json};
use sextant_haste::Haste;
use sextant_plugin_api::{DType, Error, Geometry};
use sextant_plugin_testkit::{Bench, Leaf, Outcome, Tap, Value, laws, proptest, strategy};

/// The small model, and an encoder with two blocks of three heads: one more than the student has.
fn geometry() -> Geometry {
    strategy::small().with_field("attention", DType::F32, &[2, 3, 4, 4])
}

/// One block of the first two heads of `[B, 2, heads, T, T]`.
fn block(of: &Value, block: usize) -> Value {
    Value::from_fn([of.shape[0], 2, 4, 4], |i| of.at(&[i[0], block, i[1], i[2], i[3]]))
}

fn outcome(mut config: Json, h: &Value, z: &Value, logits: &Value, p: &Value) -> Result<Outcome, Error> {
    config["depth"] = json!(3);
    config["projector_width"] = json!(16);
    config["attention_depths"] = json!([2, 3]);
    let bench = Bench::new::<Haste>(config)?.planned(&geometry())?;
    let inputs = bench.inputs(7, &vec![0.5; h.shape[0]]).with_identity_projector("");
    let inputs = inputs
        .with_tap(3, h.clone())
        .with_field("features", z.clone())
        .with_field("attention", logits.clone());
    bench.guide(&inputs.with_attention(2, block(p, 0)).with_attention(3, block(p, 1)))
}

/// The attention's term alone: what a weight of 1 adds.
fn cross_entropy(logits: &Value, p: &Value) -> Vec<f64> {
    let h = Value::full([logits.shape[0], 4, 8], 1.0);
    let loss = |weight: f64| {
        outcome(json!({ "attention_weight": weight }), &h, &h, logits, p)
            .unwrap()
            .loss
    };
    loss(1.0)
        .iter()
        .zip(loss(0.0))
        .map(|(with, without)| with - without)
        .collect()
}

/// Mean over the two blocks, two heads and four queries of the entropy of probabilities.
fn entropy(q: &Value) -> Vec<f64> {
    let sample = |sample: usize| {
        let blocks = [0, 1].map(|k| block(&q.rows(&[sample]), k));
        blocks.iter().flat_map(|b| &b.data).map(|q| -q * q.ln()).sum::<f64>() / 16.0
    };
    (0..q.shape[0]).map(sample).collect()
}

fn logits() -> impl Strategy<Value = Value> {
    strategy::features([2, 2, 3, 4, 4])
}

proptest! {
    #![proptest_config(strategy::repeatable())]

    #[test]
    fn without_attention_it_is_a_cosine(
        h in strategy::features([2, 4, 8]), z in strategy::features([2, 4, 8]), a in logits(), factors in strategy::factors()
    ) {
        let weight = json!({ "attention_weight": 0.0 });
        laws::cosine(|h, z| Ok(outcome(weight.clone(), h, z, &a, &a.softmax())?.loss), &h, &z, &factors)?;
    }

    #[test]
    fn the_cross_entropy_is_the_entropy_at_equality_and_more_elsewhere(a in logits(), b in logits()) {
        let (q, p) = (a.softmax(), b.softmax());
        let least = entropy(&q);
        laws::equal("at equality", &cross_entropy(&a, &q), &least)?;
        for (found, least) in cross_entropy(&a, &p).iter().zip(&least) {
            prop_assert!(found >= &(least - 1e-9), "{found} is below the entropy {least} (Gibbs)");
        }
    }

    #[test]
    fn queries_and_keys_permuted_together_leave_it(a in logits(), b in logits(), order in Just([0, 1, 2, 3]).prop_shuffle()) {
        let permuted = |v: &Value| Value::from_fn(&v.shape, |i| v.at(&[i[0], i[1], i[2], order[i[3]], order[i[4]]]));
        let p = b.softmax();
        laws::equal("permuted", &cross_entropy(&permuted(&a), &permuted(&p)), &cross_entropy(&a, &p))?;
        // The logits' level is nothing: a softmax takes it off.
        laws::equal("raised", &cross_entropy(&a.map(|v| v + 2.0), &p), &cross_entropy(&a, &p))?;
    }

    #[test]
    fn heads_that_the_student_lacks_do_not_count(a in logits(), b in logits(), other in logits()) {
        let changed = Value::from_fn(&a.shape, |i| if i[2] == 2 { other.at(i) } else { a.at(i) });
        let p = b.softmax();
        laws::equal("the third head", &cross_entropy(&changed, &p), &cross_entropy(&a, &p))?;
    }

    #[test]
    fn the_weight_is_the_attentions_alone_and_both_terms_are_reported(
        h in strategy::features([2, 4, 8]), z in strategy::features([2, 4, 8]), a in logits(), b in logits(),
        weight in 0.0..3.0f64
    ) {
        let with = |weight: f64| outcome(json!({ "attention_weight": weight }), &h, &z, &a, &b.softmax()).unwrap();
        let (tokens, found) = (with(0.0), with(weight));
        let attention = cross_entropy(&a, &b.softmax());
        let expected: Vec<f64> = tokens.loss.iter().zip(&attention).map(|(t, a)| t + weight * a).collect();
        laws::equal("tokens + weight * attention", &found.loss, &expected)?;
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        laws::equal("tokens", &[found.metrics["tokens"]], &[mean(&tokens.loss)])?;
        laws::equal("attention", &[found.metrics["attention"]], &[mean(&attention)])?;
    }

    #[test]
    fn an_affinity_is_free_of_the_features_length_and_met_by_itself(
        h in strategy::features([2, 4, 8]), z in strategy::features([2, 4, 8]), factors in strategy::factors(),
        temperature in 0.05..2.0f64, a in logits()
    ) {
        let directed = |side: &Value| side.data.chunks(8).all(|token| token.iter().any(|v| v.abs() > 1e-3));
        prop_assume!(directed(&h) && directed(&z));
        // The encoder's cosines, worked out here.
        let cosine = |s: usize, q: usize, k: usize| {
            let dot = |a: usize, b: usize| (0..8).map(|e| z.at(&[s, a, e]) * z.at(&[s, b, e])).sum::<f64>();
            dot(q, k) / (dot(q, q) * dot(k, k)).sqrt()
        };
        let q = Value::from_fn([2, 2, 3, 4, 4], |i| cosine(i[0], i[3], i[4]) / temperature).softmax();
        let config = |weight: f64| json!({
            "target": "affinity", "temperature": temperature, "attention_weight": weight
        });
        let loss = |weight, z: &Value, p: &Value| outcome(config(weight), &h, z, &a, p).unwrap();
        let attention = |z: &Value, p: &Value| -> Vec<f64> {
            loss(1.0, z, p).loss.iter().zip(loss(0.0, z, p).loss).map(|(with, without)| with - without).collect()
        };
        laws::equal("met by itself", &attention(&z, &q), &entropy(&q))?;
        let p = a.softmax();
        laws::equal("scaled", &attention(&z.scale_tokens(&factors), &p), &attention(&z, &p))?;
    }

    #[test]
    fn gradients_reach_the_tokens_and_the_attention_of_its_blocks(
        times in strategy::times((0.0, 1.0)), seed: u64, weight in 0.5..2.0f64
    ) {
        let config = json!({ "depth": 3, "projector_width": 16, "attention_weight": weight });
        let bench = Bench::new::<Haste>(config).unwrap().planned(&geometry()).unwrap();
        prop_assert_eq!(bench.declared().required_minor, 1);
        let inputs = bench.inputs(seed, &times);
        laws::sound(&bench, &inputs)?;
        let outcome = bench.guide(&inputs).unwrap();
        let taps: Vec<_> = outcome.gradients.iter().filter(|leaf| matches!(leaf, Leaf::Tap(_))).collect();
        // Of two blocks of the encoder and a student of six: the last two.
        let expected = [Tap::Block(3), Tap::Attention(5), Tap::Attention(6)].map(Leaf::Tap);
        prop_assert_eq!(taps, expected.iter().collect::<Vec<_>>());
    }
}
