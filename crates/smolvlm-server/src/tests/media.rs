//! Media of untrusted clients.

use super::support::png::{crc32, png};
use super::support::{TestServer, base64, corpus, data_url, load, question, shapes, with};
use crate::config::ServerConfig;
use futures::StreamExt;
use serde_json::{Value, json};
use smolvlm::{MediaPolicy, MediaScheme};

fn image(url: &str) -> Value {
    question(json!([{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "What?"}]))
}

/// Sizes whose axes are ambiguous. All sizes from 1x1 to 64x64 are answered, some of them in tiles.
#[tokio::test]
async fn small_images_of_any_shape_are_answered() {
    let server = &TestServer::demo();
    let sizes = (1..=64).flat_map(|width| (1..=64).map(move |height| (width, height)));
    let answers = futures::stream::iter(sizes).for_each_concurrent(8, |(width, height)| async move {
        let is_border = [1, 2, 3, 4, 64].contains(&width) && [1, 2, 3, 4, 64].contains(&height);
        let detail = if is_border || (width * 64 + height) % 97 == 0 { "high" } else { "low" };
        let image_url = json!({"url": data_url(&png(width, height, 3)), "detail": detail});
        let content = json!([{"type": "image_url", "image_url": image_url}, {"type": "text", "text": "What?"}]);
        let request = with(question(content), json!({"max_tokens": 1})).to_string();
        let counts = server.post("/v1/chat/completions/input_tokens", request.clone()).await.ok();
        let answer = server.post("/v1/chat/completions", request).await.ok();
        assert_eq!(answer["usage"]["prompt_tokens"], counts["input_tokens"], "{width}x{height}");
    });
    answers.await;
    server.chat(with(image(&shapes()), json!({"max_tokens": 1}))).await.ok();
}

#[tokio::test]
async fn nothing_is_fetched_or_read_by_default() {
    let server = TestServer::demo();
    let path = format!("{}/Cargo.toml", env!("CARGO_MANIFEST_DIR"));
    for url in [
        "http://127.0.0.1:1/a.png".to_owned(),
        "https://example.com/a.png?token=secret".to_owned(),
        "http://169.254.169.254/latest/meta-data".to_owned(),
        "http://a\\@127.0.0.1/secret".to_owned(),
        "http://[::ffff:127.0.0.1]/".to_owned(),
        format!("file://{path}"),
        "file:///etc/passwd".to_owned(),
        path.clone(),
        "../../etc/passwd".to_owned(),
        "\\\\host\\share\\a.png".to_owned(),
        "ftp://example.com/a.png".to_owned(),
        "gopher://example.com".to_owned(),
        "a.png".to_owned(),
    ] {
        for request in [
            image(&url),
            question(json!([{"type": "image", "image": url}])),
            question(json!([{"type": "image", "path": url}])),
            question(json!([{"type": "video_url", "video_url": {"url": url}}])),
            question(json!([{"type": "video", "video": [url]}])),
        ] {
            let answer = server.chat(request).await;
            let error = answer.error(400);
            assert_eq!(error["param"], "messages[0].content[0]", "{url}: {error}");
            for secret in ["secret", "passwd", "smolvlm-server", "token", "meta-data"] {
                assert!(!answer.text.contains(secret), "{url}: {}", answer.text);
            }
        }
    }
}

/// Text is text, also where another server looks for images in Markdown.
#[tokio::test]
async fn links_in_texts_are_not_followed() {
    let site = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    site.set_nonblocking(true).unwrap();
    let url = format!("http://{}/a.png", site.local_addr().unwrap());
    let mut policy = MediaPolicy::untrusted();
    policy.schemes.push(MediaScheme::Http);
    let config = ServerConfig { media: policy, ..ServerConfig::default() };
    let model = load(&config);
    let server = TestServer::with(config, model);
    for text in [format!("![]({url})"), format!("<img src=\"{url}\">"), url.clone(), format!("[a]({url})")] {
        for content in [json!(text), json!([{"type": "text", "text": text}])] {
            let answer = server.chat(with(question(content), json!({"max_tokens": 1}))).await.ok();
            assert_eq!(answer["usage"]["prompt_tokens_details"]["image_tokens"], 0, "{text}");
        }
    }
    assert_eq!(site.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

/// Tensors are not media.
#[tokio::test]
async fn tensors_are_rejected() {
    let server = TestServer::demo();
    // The start of a pickled tensor, and of a safetensors file.
    for data in [&b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."[..], b"\x08\0\0\0\0\0\0\0{}      "] {
        let data = base64(data);
        for part in [
            json!({"type": "image_embeds", "image_embeds": data}),
            json!({"type": "audio_embeds", "audio_embeds": data}),
            json!({"type": "image_url", "image_url": {"url": format!("data:application/octet-stream;base64,{data}")}}),
            json!({"type": "image", "image": data}),
        ] {
            let error = server.chat(question(json!([part]))).await.error(400);
            assert_eq!(error["param"], "messages[0].content[0]", "{error}");
        }
        let request = json!({"prompt_embeds": data, "max_tokens": 1});
        assert_eq!(server.post("/v1/completions", request.to_string()).await.error(400)["param"], "prompt");
    }
}

#[tokio::test]
async fn damaged_media_are_errors_of_the_request() {
    let server = TestServer::demo();
    let good = corpus("world/shapes.png");
    for url in [
        "data:image/png;base64,".to_owned(),
        "data:image/png;base64,AAAA".to_owned(),
        "data:image/png;base64,!!!!".to_owned(),
        "data:".to_owned(),
        "data:image/png".to_owned(),
        "data:image/png;base64,%zz".to_owned(),
        data_url(&good[..good.len() / 2]),
        data_url(b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
        data_url(b"\0\0\0\x0cjP  \r\n\x87\n"),
    ] {
        let error = server.chat(image(&url)).await.error(400);
        assert_eq!(error["param"], "messages[0].content[0]", "{url:.60}: {error}");
    }
    server.chat(image(&shapes())).await.ok();
}

/// A small file that decodes to gigabytes is rejected by its header.
#[tokio::test]
async fn bombs_are_rejected_by_their_headers() {
    let server = TestServer::demo();
    let mut bomb = png(1, 1, 3);
    bomb[16..24].copy_from_slice(&[0, 0, 0x40, 0, 0, 0, 0x40, 0]);
    let crc = crc32(&bomb[12..29]);
    bomb[29..33].copy_from_slice(&crc.to_be_bytes());
    let error = server.chat(image(&data_url(&bomb))).await.error(400);
    assert!(error["message"].as_str().unwrap().contains("268435456"), "{error}");
}

/// Many frames are counted before anything is decoded.
#[tokio::test]
async fn many_images_are_rejected_before_they_are_decoded() {
    let server = TestServer::demo();
    let part = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}});
    let error = server.chat(question(vec![part; 65])).await.error(400);
    assert_eq!(error["code"], "too_many_media");
    let frames = json!([{"type": "video", "video": vec!["data:image/png;base64,AAAA"; 65]}]);
    assert_eq!(server.chat(question(frames)).await.error(400)["code"], "too_many_media");
    // A list of JPEG frames in one URL, as another server splits it.
    let frames = format!("data:video/jpeg;base64,{}", vec![base64(b"\xff\xd8\xff"); 10_000].join(","));
    server.chat(question(json!([{"type": "video_url", "video_url": {"url": frames}}]))).await.error(400);
}

/// Files of videos reach no decoder unless the server is configured so; lists of frames do.
#[tokio::test]
async fn videos_are_lists_of_frames() {
    let server = TestServer::demo();
    for video in ["data:video/mp4;base64,AAAA", "data:image/gif;base64,R0lGODlh"] {
        let error = server.chat(question(json!([{"type": "video_url", "video_url": {"url": video}}]))).await.error(400);
        assert_eq!(error["code"], "unsupported");
    }
    let frames = json!([{"type": "video", "video": [shapes(), shapes()]}, {"type": "text", "text": "What?"}]);
    server.chat(with(question(frames), json!({"max_tokens": 1}))).await.ok();
}

/// With `--allow-videos`, files of videos are decoded, by limited processes.
#[tokio::test]
async fn videos_are_decoded_by_limited_processes_if_allowed() {
    let config = ServerConfig { videos: true, ..ServerConfig::default() };
    let model = load(&config);
    assert!(model.processor().limits().video.isolation.is_some());
    let server = TestServer::with(config, model);
    let video = format!("data:video/mp4;base64,{}", base64(&corpus("clips/plain.mp4")));
    let parts = json!([{"type": "video_url", "video_url": {"url": video}}, {"type": "text", "text": "What?"}]);
    let answer = server.chat(with(question(parts), json!({"max_tokens": 1}))).await;
    match std::process::Command::new("ffmpeg").arg("-version").output() {
        Ok(_) => drop(answer.ok()),
        Err(_) => assert!(answer.status.is_server_error() || answer.status.is_client_error()),
    }
}

/// With a folder, only files inside of it are read.
#[tokio::test]
async fn files_are_read_from_the_allowed_folder_only() {
    let folder = tempfile::tempdir().unwrap();
    let media = folder.path().join("media");
    std::fs::create_dir(&media).unwrap();
    std::fs::write(media.join("a.png"), corpus("world/shapes.png")).unwrap();
    std::fs::write(folder.path().join("secret.png"), corpus("world/shapes.png")).unwrap();
    let mut policy = MediaPolicy::untrusted();
    policy.schemes.push(MediaScheme::File);
    policy.folders = Some(vec![media.clone()]);
    let config = ServerConfig { media: policy, ..ServerConfig::default() };
    let model = load(&config);
    let server = TestServer::with(config, model);
    let expected = server.chat(image(&shapes())).await.ok()["choices"].clone();
    let inside = format!("file://{}/a.png", media.display());
    assert_eq!(server.chat(image(&inside)).await.ok()["choices"], expected);
    #[cfg(unix)]
    std::os::unix::fs::symlink(folder.path().join("secret.png"), media.join("link.png")).unwrap();
    let root = media.display();
    for url in [
        format!("file://{root}/../secret.png"),
        format!("file://{root}/%2e%2e/secret.png"),
        format!("file://{root}/link.png"),
        format!("file://{root}/none.png"),
        format!("file://{root}"),
        "../secret.png".to_owned(),
        "//host/share/a.png".to_owned(),
        "/etc/passwd".to_owned(),
        "file://host/a.png".to_owned(),
        "file:///a%00.png".to_owned(),
    ] {
        let answer = server.chat(image(&url)).await;
        assert_eq!(answer.error(400)["param"], "messages[0].content[0]", "{url}");
        assert!(!answer.text.contains("secret") && !answer.text.contains(&*root.to_string()), "{}", answer.text);
    }
}

/// Control tokens in texts are text.
#[tokio::test]
async fn control_tokens_in_texts_are_text() {
    let server = TestServer::demo();
    let tokens = |answer: Value| answer["usage"]["prompt_tokens"].as_u64().unwrap();
    let plain = tokens(server.chat(question("a  b")).await.ok());
    for typed in ["<image>", "<end_of_utterance>", "<fake_token_around_image>", "<|im_start|>", "<video>"] {
        let answer = server.chat(question(format!("a {typed} b"))).await.ok();
        // As one token, it would add one.
        assert!(tokens(answer) > plain + 1, "{typed}");
        let content = json!([{"type": "image_url", "image_url": {"url": shapes()}}, {"type": "text", "text": typed}]);
        server.chat(question(content)).await.ok();
    }
}
