//! Pictures of a batch: beside latents, and as what latents are still to be made of.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use sextant_recipe::{DataConfig, HeldOut};
use tempfile::TempDir;

use crate::{Clean, Codec, Dataset, Encode, FormDraws, PackOptions, Pictures, facts, load, npy, pack};

/// An encoder whose one channel of latents is twice the red of every second pixel.
#[derive(Debug)]
struct Reds;

impl Encode for Reds {
    fn shape(&self, side: usize) -> [usize; 3] {
        [1, side / 2, side / 2]
    }

    fn scale(&self) -> f64 {
        2.0
    }

    fn fingerprint(&self) -> &str {
        "reds"
    }

    fn encode(&self, pictures: &Pictures) -> Vec<f32> {
        let side = pictures.side;
        let reds = pictures.planes();
        let images = reds.chunks_exact(3 * side * side);
        let every_second = |image: &[f32]| -> Vec<f32> {
            let places = (0..side / 2).flat_map(|y| (0..side / 2).map(move |x| 2 * (y * side + x)));
            places.map(|place| 2.0 * image[place]).collect()
        };
        images.flat_map(every_second).collect()
    }

    fn moments(&self, pictures: &Pictures) -> Vec<f32> {
        let means: Vec<f32> = self.encode(pictures).into_iter().map(|value| value / 2.0).collect();
        let images = means.chunks_exact((pictures.side / 2).pow(2));
        images.flat_map(|means| [means, means].concat()).collect()
    }
}

/// REPA's layout: moments of one channel of 2 x 2, and the images of 4 x 4 that they might be of.
fn repa() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let put = |path: &Path| fs::create_dir_all(path.parent().unwrap()).unwrap();
    for id in 0..12u32 {
        for end in ["", "-flip"] {
            let moments = folder
                .path()
                .join(format!("vae-sd{end}/00000/img-mean-std-{id:08}.npy"));
            put(&moments);
            fs::write(moments, npy::encode(&[2, 2, 2], &[id as f32; 8])).unwrap();
        }
        let picture = folder.path().join(format!("images/00000/img{id:08}.png"));
        put(&picture);
        let pixel = |x: u32, y: u32| image::Rgb([(id * 16 + x) as u8, y as u8, 7]);
        image::RgbImage::from_fn(4, 4, pixel).save(picture).unwrap();
    }
    fs::write(folder.path().join("vae-sd/dataset.json"), "{\"labels\": null}").unwrap();
    folder
}

fn latents(folder: &TempDir, flip: bool) -> DataConfig {
    DataConfig::Latents {
        path: folder.path().into(),
        classes: None,
        scale: 1.0,
        vae: None,
        fields: Vec::new(),
        flip,
        held_out: HeldOut::Share(0.25),
        split_seed: 0,
    }
}

fn collected(dataset: &Dataset, k: u64) -> crate::Batch {
    let places = dataset.order(3, 8).batch(k);
    dataset.collect(3, k, &places, true).unwrap()
}

#[test]
fn pictures_lie_beside_the_latents_and_are_mirrored_with_them() {
    let folder = repa();
    let dataset = load(&latents(&folder, true)).unwrap();
    assert_eq!(dataset.source_side().unwrap(), 4);
    assert_eq!(
        dataset.batch(3, 0, 8).unwrap().pictures,
        None,
        "unless they are asked for"
    );
    let mut mirrored = 0;
    for k in 0..6 {
        let (batch, draws) = (collected(&dataset, k), FormDraws::new(3, k));
        let pictures = batch.pictures.unwrap();
        assert_eq!(pictures.side, 4);
        for (&id, picture) in batch.ids.iter().zip(pictures.pixels.chunks_exact(48)) {
            let first = match draws.flip(id as usize) {
                true => 3,
                false => 0,
            };
            mirrored += first / 3;
            assert_eq!(u64::from(picture[0]), id * 16 + first);
            assert_eq!(picture[2], 7);
        }
    }
    assert!((10..38).contains(&mirrored), "{mirrored} of 48");
}

#[test]
fn pictures_that_are_not_there_are_named() {
    let folder = repa();
    let dataset = load(&latents(&folder, false)).unwrap();
    let out = folder.path().join("packed");
    pack(&dataset, &out, PackOptions::default(), |_| true).unwrap();
    let packed = DataConfig::Packed {
        path: out,
        fields: Vec::new(),
        vae: None,
        flip: false,
        held_out: None,
        split_seed: 0,
    };
    let message = load(&packed).unwrap().pictures(&[0]).unwrap_err().to_string();
    assert!(message.contains("packed latents are without images"), "{message}");
    fs::remove_file(folder.path().join("images/00000/img00000005.png")).unwrap();
    let message = dataset.pictures(&[4, 5]).unwrap_err().to_string();
    assert!(message.contains("images/00000/img00000005.png"), "{message}");
}

#[test]
fn another_ending_is_found_too() {
    let folder = repa();
    let images = folder.path().join("images/00000");
    let webp = image::open(images.join("img00000003.png")).unwrap();
    webp.save(images.join("img00000003.webp")).unwrap();
    fs::remove_file(images.join("img00000003.png")).unwrap();
    let dataset = load(&latents(&folder, false)).unwrap();
    assert_eq!(dataset.pictures(&[3]).unwrap().pixels[0], 48);
}

#[test]
fn a_set_with_an_encoder_shows_latents_and_leaves_those_of_a_batch_to_the_step() {
    let pixels = load(&DataConfig::emoji(8, 0)).unwrap();
    let (standardisation, fingerprint) = (pixels.standardisation(), pixels.fingerprint().to_owned());
    let dataset = pixels.with_encoder(Arc::new(Reds));
    assert_eq!((dataset.shape(), dataset.sample_len()), ([1, 4, 4], 16));
    assert_eq!(dataset.codec(), Codec::Latents { scale: 2.0 });
    assert_eq!(dataset.standardisation(), standardisation);
    assert_eq!(
        (dataset.fingerprint(), dataset.encoder_fingerprint()),
        (fingerprint.as_str(), Some("reds"))
    );
    // More than are encoded together.
    let ids: Vec<usize> = (100..170).collect();
    let (latents, pictures) = (dataset.gather(&ids).unwrap(), dataset.pictures(&ids).unwrap());
    assert_eq!(latents[69 * 16], 2.0 * f32::from(pictures.pixels[69 * 192]));
    assert_eq!(dataset.image(169).unwrap(), latents[69 * 16..]);
    assert!(dataset.to_pixels(&latents).is_err(), "there is no decoder");
    assert_eq!(dataset.shown(&ids).unwrap(), pictures.pixels);

    let batch = dataset.batch(5, 2, 4).unwrap();
    let of_batch: Vec<usize> = batch.ids.iter().map(|&id| id as usize).collect();
    assert_eq!(batch.shape, [4, 1, 4, 4]);
    assert_eq!(batch.pictures, Some(dataset.pictures(&of_batch).unwrap()));
    let noise = of_batch
        .iter()
        .flat_map(|&id| FormDraws::new(5, 2).posterior(id).take(16));
    assert_eq!(batch.x, Clean::Posterior(noise.collect()));

    let config = DataConfig::emoji(8, 0);
    let facts = facts(&config, &dataset).unwrap();
    assert_eq!((facts.encoded_from, facts.statistics.samples), (Some(8), 16));
}
