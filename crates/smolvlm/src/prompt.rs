//! The input of a generation.

use smolvlm_processor::{Conversation, RenderOptions};

/// The input of a generation. Conversations and messages convert to it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Prompt {
    /// A conversation, and how the chat template renders it.
    Conversation(Conversation, RenderOptions),
    /// A text without images that the model continues. It is tokenized as it is: control tokens take effect.
    Text(String),
    /// Tokens without images that the model continues.
    Tokens(Vec<u32>),
}

impl Prompt {
    /// A text that the model continues, without the chat template.
    ///
    /// ```
    /// use smolvlm::Prompt;
    /// let prompt = Prompt::text("<|im_start|>User: Name a color.<end_of_utterance>\nAssistant: My favorite is");
    /// ```
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A conversation whose last message the model continues, instead of answering it.
    pub fn continue_final(conversation: impl Into<Conversation>) -> Self {
        Self::Conversation(conversation.into(), RenderOptions::continue_final())
    }
}

/// The model answers the last message.
impl<C: Into<Conversation>> From<C> for Prompt {
    fn from(conversation: C) -> Self {
        Self::Conversation(conversation.into(), RenderOptions::answer())
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::Prompt;
    use crate::{Conversation, Device, Dtype, Error, Message, Options, SamplingParams, SmolVlm, Source};
    use smolvlm_config::Preset;
    use smolvlm_processor::{Error as ProcessorError, RenderOptions};

    fn model() -> SmolVlm {
        let options = Options { device: Device::Flex, dtype: Dtype::F32, ..Options::default() };
        SmolVlm::load(Source::Random(Preset::Tiny), options).unwrap()
    }

    fn params() -> SamplingParams {
        SamplingParams::greedy().max_new_tokens(5)
    }

    #[test]
    fn texts_and_tokens_are_continued_like_the_conversation_that_renders_to_them() {
        let model = model();
        let question = Conversation::from(Message::user().text("What is it?"));
        let expected = model.generate(question.clone(), params()).unwrap();
        let text = model.processor().render(&question, &RenderOptions::answer()).unwrap();
        let ids = model.processor().encode(&text).unwrap();
        for prompt in [Prompt::text(text), Prompt::Tokens(ids)] {
            let answer = model.generate(prompt.clone(), params()).unwrap();
            assert_eq!(answer.token_ids, expected.token_ids);
            assert_eq!((answer.prompt_tokens, answer.image_tokens), (expected.prompt_tokens, 0));
            let streamed = model.stream(prompt, params()).unwrap().last();
            assert!(matches!(streamed, Some(Ok(crate::Event::Finished(last))) if last.text == expected.text));
        }
    }

    #[test]
    fn the_last_message_is_continued() {
        let model = model();
        let conversation = Conversation::from([Message::user().text("Hi"), Message::assistant().text("It is")]);
        let answer = model.generate(Prompt::continue_final(conversation.clone()), params()).unwrap();
        let text = model.processor().render(&conversation, &RenderOptions::continue_final()).unwrap();
        assert!(text.ends_with("Assistant: It is"));
        assert_eq!(answer.token_ids, model.generate(Prompt::Text(text), params()).unwrap().token_ids);
    }

    #[test]
    fn invalid_texts_and_tokens_are_errors() {
        let model = model();
        let error = |prompt: Prompt| model.generate(prompt, params()).unwrap_err();
        for empty in [Prompt::text(""), Prompt::Tokens(Vec::new())] {
            assert!(matches!(error(empty), Error::Processor(ProcessorError::EmptyPrompt)));
        }
        let image = model.processor().image_token_id();
        for images in [Prompt::text("What is <image>?"), Prompt::Tokens(vec![image, 5, image])] {
            assert!(matches!(error(images), Error::Processor(ProcessorError::ImageCount { images: 0, .. })));
        }
        let unknown = error(Prompt::Tokens(vec![1, u32::MAX]));
        assert!(matches!(unknown, Error::Model(smolvlm_model::Error::TokenOutOfRange { id: u32::MAX, .. })));
        let long = error(Prompt::Tokens(vec![5; 8192]));
        assert!(matches!(long, Error::PromptTooLong { prompt: 8192, context: 8192, .. }));
        let bytes = model.processor().limits().max_prompt_bytes + 1;
        assert!(matches!(error(Prompt::text("a".repeat(bytes))), Error::Processor(ProcessorError::PromptText { .. })));
    }

    #[test]
    fn streams_have_the_log_probabilities_of_each_token() {
        let model = model();
        let params = params().logprobs(2);
        let question = || Message::user().text("What is it?");
        let expected = model.generate(question(), params.clone()).unwrap();
        let (mut ids, mut logprobs, mut text) = (Vec::new(), Vec::new(), String::new());
        for event in model.stream(question(), params).unwrap() {
            match event.unwrap() {
                crate::Event::Token { id, logprobs: found } => {
                    ids.push(id);
                    logprobs.push(found);
                }
                crate::Event::Text(delta) => text += &delta,
                crate::Event::Finished(last) => assert_eq!(last.logprobs, expected.logprobs),
            }
        }
        assert_eq!((ids, logprobs, text), (expected.token_ids, expected.logprobs, expected.text));
    }
}
