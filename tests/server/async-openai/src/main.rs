//! Asks a running server through the crate async-openai: `smolvlm-async-openai URL KEY IMAGE`.

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use async_openai::types::chat::{
    ChatCompletionRequestMessageContentPartImage, ChatCompletionRequestMessageContentPartText,
    ChatCompletionRequestUserMessage, ChatCompletionRequestUserMessageContent, ChatCompletionStreamOptions,
    CreateChatCompletionRequest, CreateChatCompletionRequestArgs, ImageDetail, ImageUrl,
};
use async_openai::types::completions::CreateCompletionRequestArgs;
use base64::Engine;
use futures::StreamExt;
use std::error::Error;

type Outcome = Result<(), Box<dyn Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome {
    let [url, key, path] = std::env::args().skip(1).collect::<Vec<_>>().try_into().expect("URL KEY IMAGE");
    let client =
        |key: &str| Client::with_config(OpenAIConfig::new().with_api_base(format!("{url}/v1")).with_api_key(key));
    let image = base64::engine::general_purpose::STANDARD.encode(std::fs::read(path)?);
    models(&client(&key)).await?;
    chats(&client(&key), &image).await?;
    completions(&client(&key)).await?;
    errors(&client(&key), &client("wrong"), &image).await?;
    println!("async-openai: ok");
    Ok(())
}

async fn models(client: &Client<OpenAIConfig>) -> Outcome {
    let models = client.models().list().await?.data;
    assert_eq!(models.len(), 1);
    assert_eq!(client.models().retrieve(&models[0].id).await?, models[0]);
    Ok(())
}

/// A request for a few tokens about an image.
fn request(image: &str) -> Result<CreateChatCompletionRequest, OpenAIError> {
    let url = format!("data:image/png;base64,{image}");
    let image_url = ImageUrl { url, detail: Some(ImageDetail::High) };
    let content = ChatCompletionRequestUserMessageContent::from(vec![
        ChatCompletionRequestMessageContentPartImage::from(image_url).into(),
        ChatCompletionRequestMessageContentPartText::from("Describe this picture.").into(),
    ]);
    let message = ChatCompletionRequestUserMessage::from(content);
    CreateChatCompletionRequestArgs::default().model("any").messages(message).max_completion_tokens(24_u32).build()
}

async fn chats(client: &Client<OpenAIConfig>, image: &str) -> Outcome {
    let request = request(image)?;
    let answer = client.chat().create(request.clone()).await?;
    let text = answer.choices[0].message.content.clone().ok_or("no content")?;
    let usage = answer.usage.ok_or("no usage")?;
    assert!(!text.is_empty() && answer.choices[0].finish_reason.is_some());
    assert_eq!(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);

    let options = ChatCompletionStreamOptions { include_usage: Some(true), include_obfuscation: None };
    let with_options = CreateChatCompletionRequest {
        stream_options: Some(options),
        logprobs: Some(true),
        top_logprobs: Some(2),
        ..request
    };
    let mut stream = client.chat().create_stream(with_options).await?;
    let (mut streamed, mut tokens, mut total) = (String::new(), String::new(), None);
    while let Some(part) = stream.next().await {
        let part = part?;
        total = part.usage.map(|usage| usage.total_tokens).or(total);
        for choice in part.choices {
            streamed += choice.delta.content.as_deref().unwrap_or_default();
            let logprobs = choice.logprobs.and_then(|logprobs| logprobs.content).unwrap_or_default();
            tokens.extend(logprobs.into_iter().map(|token| token.token));
        }
    }
    assert_eq!((&streamed, &tokens, total), (&text, &text, Some(usage.total_tokens)));
    Ok(())
}

async fn completions(client: &Client<OpenAIConfig>) -> Outcome {
    let request = CreateCompletionRequestArgs::default().model("any").prompt("One two").max_tokens(4_u32).build()?;
    let answer = client.completions().create(request.clone()).await?;
    let mut stream = client.completions().create_stream(request).await?;
    let mut streamed = String::new();
    while let Some(part) = stream.next().await {
        streamed.extend(part?.choices.into_iter().map(|choice| choice.text));
    }
    assert_eq!(streamed, answer.choices[0].text);
    Ok(())
}

async fn errors(client: &Client<OpenAIConfig>, stranger: &Client<OpenAIConfig>, image: &str) -> Outcome {
    let invalid = CreateChatCompletionRequest { temperature: Some(-1.0), ..request(image)? };
    for (found, status, param) in [
        (client.chat().create(invalid.clone()).await.err(), 400, Some("temperature")),
        (client.chat().create_stream(invalid).await.err(), 400, Some("temperature")),
        (client.models().retrieve("none").await.err(), 404, Some("model")),
        (stranger.chat().create(request(image)?).await.err(), 401, None),
    ] {
        let Some(OpenAIError::ApiError(found)) = found else { return Err(format!("no API error: {found:?}").into()) };
        assert_eq!((found.status_code.as_u16(), found.api_error.param.as_deref()), (status, param), "{found}");
    }
    Ok(())
}
