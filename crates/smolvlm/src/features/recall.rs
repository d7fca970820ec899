//! Images that were encoded before, recognized by their files, so that they are not even decoded again.

use super::{Key, MediaFeatures};
use crate::SmolVlm;
use crate::media_positions::{MediaPosition, media_positions};
use burn::tensor::Tensor;
use sha2::{Digest, Sha256};
use smolvlm_processor::{Content, Conversation, ImageSource, Media, MediaOptions, MediaPlan};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

/// Maximum number of images that are remembered, each with the hashes of its tiles.
const MAX_IMAGES: usize = 1024;

/// The tiles of images that were processed, by the hash of the image's file and options.
#[derive(Debug, Default)]
pub(super) struct KnownImages(Mutex<Images>);

#[derive(Debug, Default)]
struct Images {
    entries: HashMap<Key, (u64, KnownImage)>,
    /// Number of accesses so far, from which the least recently used entry is found.
    clock: u64,
}

/// The plan of an image and the hashes of its tiles.
#[derive(Debug, Clone)]
struct KnownImage {
    plan: MediaPlan,
    keys: Vec<Key>,
}

impl KnownImages {
    fn get(&self, source: &Key) -> Option<KnownImage> {
        // A poisoned lock is safe to use: no entry is ever partially written.
        let mut images = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        images.clock += 1;
        let clock = images.clock;
        let (used, image) = images.entries.get_mut(source)?;
        *used = clock;
        Some(image.clone())
    }

    pub(super) fn insert(&self, source: Key, plan: MediaPlan, keys: Vec<Key>) {
        let mut images = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        images.clock += 1;
        let entry = (images.clock, KnownImage { plan, keys });
        images.entries.insert(source, entry);
        if images.entries.len() > MAX_IMAGES {
            let oldest = images.entries.iter().min_by_key(|(_, (used, _))| *used).map(|(&key, _)| key);
            oldest.and_then(|key| images.entries.remove(&key));
        }
    }
}

/// What is known about the images of a conversation.
#[derive(Default)]
pub(crate) struct Recalled {
    /// The features of images that were encoded before.
    features: BTreeMap<MediaPosition, MediaFeatures>,
    /// The hashes of the files of other images.
    sources: BTreeMap<MediaPosition, Key>,
}

impl SmolVlm {
    /// Looks for the images of a conversation that are given as data among those that were encoded before; returns the
    /// conversation with their plans instead.
    pub(crate) fn recall(&self, mut conversation: Conversation) -> (Conversation, Recalled) {
        let mut recalled = Recalled::default();
        // A client that may not send an image must not learn that it is known.
        if self.processor().media_policy().check(&conversation).is_err() {
            return (conversation, recalled);
        }
        for (index, message) in conversation.messages.iter_mut().enumerate() {
            for (item, content) in message.content.iter_mut().enumerate() {
                let Content::Image(source) = content else { continue };
                let Some(key) = source_key(source, message.media_options) else { continue };
                match self.loaded.features.known(&key) {
                    Some((plan, known)) => {
                        *content = Content::Precomputed(plan);
                        recalled.features.insert((index, item), known);
                    }
                    None => drop(recalled.sources.insert((index, item), key)),
                }
            }
        }
        (conversation, recalled)
    }
}

impl Recalled {
    /// The features of the replaced images among the media of a conversation's prompt, and for each of the media the
    /// hash of its file, if it is to be remembered.
    pub(crate) fn of_prompt(
        mut self,
        conversation: &Conversation,
        prompt: &[Media],
    ) -> (Vec<MediaFeatures>, Vec<Option<Key>>) {
        let positions = media_positions(conversation, prompt);
        let known = positions.iter().filter_map(|position| self.features.remove(position)).collect();
        (known, positions.iter().map(|position| self.sources.remove(position)).collect())
    }
}

impl super::FeatureCache {
    /// The plan and the features of an image, if all of them are in memory.
    fn known(&self, source: &Key) -> Option<(MediaPlan, MediaFeatures)> {
        let KnownImage { plan, keys } = self.images.get(source)?;
        let tiles: Vec<Tensor<2>> = keys.iter().map(|key| self.memory.get(key)).collect::<Option<_>>()?;
        Some((plan, MediaFeatures { keys, features: Tensor::cat(tiles, 0) }))
    }
}

/// The hash of an image and its options; none for one that must be opened to know its data.
fn source_key(source: &ImageSource, options: MediaOptions) -> Option<Key> {
    let mut hash = Sha256::new();
    // The kind first: the same bytes are not the same image as base64 and as pixels.
    match source {
        ImageSource::Bytes(bytes) => {
            hash.update("bytes ");
            hash.update(bytes);
        }
        ImageSource::Base64(text) => {
            hash.update("base64 ");
            hash.update(text);
        }
        ImageSource::Url(url) if url.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:")) => {
            hash.update("url ");
            hash.update(url);
        }
        ImageSource::Decoded(image) => {
            hash.update(format!("pixels {} {} ", image.width(), image.height()));
            hash.update(image.data());
        }
        _ => return None,
    }
    hash.update(format!(" {options:?}"));
    Some(hash.finalize().into())
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use crate::{
        Conversation, Device, Dtype, Error, MediaOptions, MediaPolicy, Message, Options, SamplingParams, SmolVlm,
        Source,
    };
    use smolvlm_config::Preset;
    use smolvlm_processor::{ImageSource, Rgb};

    fn model(options: Options) -> SmolVlm {
        let options = Options { device: Device::Flex, dtype: Dtype::F32, ..options };
        SmolVlm::load(Source::Random(Preset::Tiny), options).unwrap()
    }

    fn params() -> SamplingParams {
        SamplingParams::greedy().max_new_tokens(4)
    }

    fn image() -> ImageSource {
        let pixels = (0..90 * 60 * 3).map(|index| (index * 7 % 251) as u8);
        Rgb::new(90, 60, pixels.collect()).unwrap().into()
    }

    fn question(image: ImageSource, text: &str) -> Message {
        Message::user().image(image).text(text)
    }

    /// Number of images of a conversation that would not be decoded.
    fn recalled(model: &SmolVlm, message: Message) -> usize {
        model.recall(message.into()).1.features.len()
    }

    #[test]
    fn an_image_that_was_encoded_is_not_decoded_again_and_the_answer_is_the_same() {
        let (model, other) = (model(Options::default()), model(Options::default()));
        let png = include_bytes!("../../../../tests/golden/media/square.png");
        let base64 = "data:image/gif;base64,R0lGODlhAQABAIAAAP8AAAAAACwAAAAAAQABAAACAkQBADs=";
        for source in [image(), ImageSource::from(&png[..]), ImageSource::from(base64)] {
            assert_eq!(recalled(&model, question(source.clone(), "What?")), 0);
            model.generate(question(source.clone(), "What?"), params()).unwrap();
            assert_eq!(recalled(&model, question(source.clone(), "And now?")), 1);
            let expected = other.generate(question(source.clone(), "And now?"), params()).unwrap();
            let known = model.generate(question(source.clone(), "And now?"), params()).unwrap();
            assert_eq!((known.token_ids, known.image_tokens), (expected.token_ids, expected.image_tokens));
            // Beside an image that is new.
            let both = || question(source.clone(), "Same?").image(Rgb::new(9, 9, vec![7; 243]).unwrap());
            let batch = [both().into(), question(image(), "What?").into()];
            let [found, expected] = [&model, &other].map(|model| model.batch(&batch, params()).unwrap());
            assert!(found.iter().zip(&expected).all(|(found, expected)| found.token_ids == expected.token_ids));
        }
    }

    #[test]
    fn other_options_are_another_image() {
        let model = model(Options::default());
        model.generate(question(image(), "What?"), params()).unwrap();
        let whole = question(image(), "What?").media_options(MediaOptions::default().image_splitting(false));
        assert_eq!(recalled(&model, whole.clone()), 0);
        let tokens = model.generate(whole, params()).unwrap().image_tokens;
        assert!(tokens < model.generate(question(image(), "What?"), params()).unwrap().image_tokens);
    }

    #[test]
    fn evicted_features_are_computed_again() {
        // Room for the features of few tiles.
        let model = model(Options { feature_cache_bytes: 1 << 12, ..Options::default() });
        let first = model.generate(question(image(), "What?"), params()).unwrap();
        for level in 0..8 {
            let other = Rgb::new(64, 64, vec![level * 20; 64 * 64 * 3]).unwrap();
            model.generate(question(other.into(), "What?"), params()).unwrap();
        }
        assert_eq!(recalled(&model, question(image(), "What?")), 0);
        assert_eq!(model.generate(question(image(), "What?"), params()).unwrap().token_ids, first.token_ids);
    }

    #[test]
    fn known_images_are_refused_like_others() {
        let media_policy = MediaPolicy { max_media: 1, ..MediaPolicy::default() };
        let model = model(Options { media_policy, ..Options::default() });
        model.generate(question(image(), "What?"), params()).unwrap();
        let two: Conversation = question(image(), "What?").image(image()).into();
        assert!(model.recall(two.clone()).1.features.is_empty());
        let error = model.generate(two, params()).unwrap_err();
        assert!(matches!(error, Error::Processor(smolvlm_processor::Error::TooManyMedia { .. })), "{error}");
    }
}
