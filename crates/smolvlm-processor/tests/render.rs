//! Comparison of chat template rendering with transformers 5.24.0.

mod common;

use common::processor;
use smolvlm_processor::{
    ChatTemplate, Conversation, Error, Message, Processor, RELEASED_CHAT_TEMPLATE, RenderOptions, SpecialTokens,
};

const FUEL: u64 = 1_000_000;

fn render(conversation: impl Into<Conversation>, options: &RenderOptions) -> Result<String, Error> {
    processor().render(&conversation.into(), options)
}

fn run(template: &str, conversation: impl Into<Conversation>, options: &RenderOptions) -> Result<String, Error> {
    ChatTemplate::new(template, FUEL)?.render(&conversation.into(), &SpecialTokens::released(), options)
}

fn print(template: &str) -> Result<String, Error> {
    run(template, Message::user().text("hi"), &RenderOptions::answer())
}

#[test]
fn released_template_has_the_released_length() {
    assert_eq!(RELEASED_CHAT_TEMPLATE.len(), 403);
}

#[test]
fn released_template_renders_as_the_reference() {
    let cases = [
        (vec![Message::user().image("a.png").text("hi")], "<|im_start|>User:<image>hi<end_of_utterance>\nAssistant:"),
        (vec![Message::user().text("hi").image("a.png")], "<|im_start|>User: hi<image><end_of_utterance>\nAssistant:"),
        (
            vec![
                Message::system().text("Be nice."),
                Message::user().image("a.png").text("Q?"),
                Message::assistant().text("A."),
                Message::user().text("more"),
            ],
            "<|im_start|>System: Be nice.<end_of_utterance>\nUser:<image>Q?<end_of_utterance>\nAssistant: A.\
             <end_of_utterance>\nUser: more<end_of_utterance>\nAssistant:",
        ),
    ];
    for (messages, wanted) in cases {
        assert_eq!(render(messages, &RenderOptions::answer()).unwrap(), wanted);
    }
    let plain = render(Message::user().text("x"), &RenderOptions::plain()).unwrap();
    assert_eq!(plain, "<|im_start|>User: x<end_of_utterance>\n");
}

#[test]
fn roles_are_capitalized_like_python() {
    for (role, wanted) in
        [("uSER two", "User two"), ("ÄRZTIN", "Ärztin"), ("ΑΣ", "Ας"), ("ǆ", "ǅ"), ("ß", "Ss"), ("", "")]
    {
        let text = render(Message::new(role).text("x"), &RenderOptions::plain()).unwrap();
        assert_eq!(text, format!("<|im_start|>{wanted}: x<end_of_utterance>\n"));
    }
}

#[test]
fn continuation_ends_after_the_last_text() {
    let options = RenderOptions::continue_final();
    let user = Message::user().text("q");
    let text = render([user.clone(), Message::assistant().text("Sure, ")], &options).unwrap();
    assert_eq!(text, "<|im_start|>User: q<end_of_utterance>\nAssistant: Sure, ");
    // The last text item is continued; everything after it is cut.
    let text = render([user.clone(), Message::assistant().text("a").text("b").image("x.png")], &options).unwrap();
    assert_eq!(text, "<|im_start|>User: q<end_of_utterance>\nAssistant: ab");
    // If a template trims its text, the space before the cut is removed, too.
    let template = "{% for m in messages %}{{ m.role }}: {{ m.content[0].text | trim }};{% endfor %}";
    let text = run(template, [user.clone(), Message::assistant().text("Sure,  ")], &options).unwrap();
    assert_eq!(text, "user: q;assistant: Sure,");

    let fails = |result| matches!(result, Err(Error::ContinueFinalMessage { .. }));
    assert!(fails(render([user.clone(), Message::assistant().image("x.png")], &options)));
    assert!(fails(run("{{ messages[0].content[0].text }}", [user.clone(), Message::assistant().text("a")], &options)));
    assert!(fails(run("{{ messages[0].role }}", user.clone(), &options)));
    assert!(fails(run("{{ messages[0].content[0].text | upper }}", user.clone(), &options)));
    let both = RenderOptions { add_generation_prompt: true, ..options };
    assert!(matches!(render(user, &both), Err(Error::ConflictingOptions)));
}

#[test]
fn conversations_without_content_are_errors() {
    let error = render(Vec::new(), &RenderOptions::answer()).unwrap_err();
    assert_eq!(error.to_string(), "the conversation holds no message");
    let error = render([Message::user().text("x"), Message::user()], &RenderOptions::answer()).unwrap_err();
    assert_eq!(error.to_string(), "message 1: \"content\" is empty; give at least one item");
}

/// Expected values are the output of the Jinja environment of transformers for the same template.
#[test]
fn template_environment_matches_transformers() {
    let cases = [
        ("{{ bos_token }}{{ eos_token }}{{ image_token }}", "<|im_start|><end_of_utterance><image>"),
        ("{{ tools is none }}{{ documents is none }}{{ add_generation_prompt }}{{ nothing }}", "TrueTrueTrue"),
        ("{% if true %}\nx\n  {% endif %}\ny\n", "x\ny"),
        (
            "{% for i in range(9) %}{% if i == 1 %}{% continue %}{% endif %}{% if i == 4 %}{% break %}{% endif %}{{ i }}{% endfor %}",
            "023",
        ),
        ("{{ messages | tojson }}", "[{\"role\": \"user\", \"content\": [{\"type\": \"text\", \"text\": \"hi\"}]}]"),
        ("{{ {'b': \"<é'>\", 'a': [1, 2.5, none, true]} | tojson }}", "{\"b\": \"<é'>\", \"a\": [1, 2.5, null, true]}"),
        ("{{ {'b': 1, 'a': []} | tojson(indent=2) }}", "{\n  \"b\": 1,\n  \"a\": []\n}"),
        (
            "{{ {'b': 'é😀', 'a': 1} | tojson(sort_keys=true, ensure_ascii=true, separators=[',', ':']) }}",
            "{\"a\":1,\"b\":\"\\u00e9\\ud83d\\ude00\"}",
        ),
        ("{{ [1e16, 1e-5, 0.1, 1.0] | tojson }}", "[1e+16, 1e-05, 0.1, 1.0]"),
        ("{{ '  a '.strip() + 'a-b'.split('-')[1] + 'ab'.replace('b', 'c') + '-'.join(['x', 'y']) }}", "abacx-y"),
        (
            "{{ messages[0].get('role') }}{{ messages[0].get('none', 'd') }}{% for k, v in {'a': 1}.items() %}{{ k }}{{ v }}{% endfor %}",
            "userda1",
        ),
        (
            "{% set ns = namespace(n=0, found=false) %}{% for i in [1, 2] %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}{{ ns.found }}",
            "3False",
        ),
        (
            "{{ 'content' in messages[0] }}{{ messages[0].content is string }}{{ messages[0]['content'][-1]['text'] }}",
            "TrueFalsehi",
        ),
        ("{{ 'a' 'b' ~ 1 }}{{ [1, 'x', none] }}{{ '%s' | format('z') }}", "ab1[1, 'x', None]z"),
        ("{{ strftime_now('%Y') | length }}", "4"),
    ];
    for (template, wanted) in cases {
        assert_eq!(print(template).unwrap(), wanted, "{template}");
    }
}

#[test]
fn templates_see_media_sources_but_not_their_data() {
    let sources =
        Message::user().image("a.png").image("http://h/b.png").image(vec![1, 2]).image("data:image/png;base64,AA");
    let text = run("{% for i in messages[0].content %}{{ i }};{% endfor %}", sources, &RenderOptions::plain()).unwrap();
    assert_eq!(
        text,
        "{'type': 'image', 'path': 'a.png'};{'type': 'image', 'url': 'http://h/b.png'};\
         {'type': 'image', 'image': '(image data)'};{'type': 'image', 'image': '(image data)'};"
    );
}

#[test]
fn extra_keys_and_variables_reach_the_template() {
    let json = r#"[{"role": "user", "name": "Ann", "content": [{"type": "text", "text": "x"}]}]"#;
    let mut options = RenderOptions::plain();
    options.variables.insert("tools".to_owned(), serde_json::json!([{"name": "f"}]));
    options.variables.insert("bos_token".to_owned(), "B".into());
    let template = "{{ messages[0].name }}{{ tools[0].name }}{{ bos_token }}{{ add_generation_prompt }}";
    let text = run(template, Conversation::from_json(json).unwrap(), &options).unwrap();
    assert_eq!(text, "AnnfBFalse");
}

#[test]
fn template_errors_include_the_line() {
    let line = |template: &str| match print(template) {
        Err(Error::Template { line, message }) => (line, message),
        other => panic!("{template}: {other:?}"),
    };
    assert_eq!(line("a\nb{{ 1 +").0, Some(2));
    assert_eq!(line("a\n\n{{ nothing.there }}").0, Some(3));
    assert_eq!(line("a\n{{ 1 | no_such_filter }}").0, Some(2));
    let (at, message) = line("\n{{ raise_exception('roles must alternate') }}");
    assert!(at == Some(2) && message.contains("roles must alternate"), "{message}");
    assert!(line("{{ strftime_now('%!') }}").1.contains("bad format"));
    assert_eq!(print("a\n{{ 1 +").unwrap_err().to_string().matches('\n').count(), 0);
}

#[test]
fn rendering_without_a_template_is_an_error() {
    let processor = Processor::new(common::config(), common::tokenizer(), None).unwrap();
    let result = processor.render(&Message::user().text("x").into(), &RenderOptions::answer());
    assert!(matches!(result, Err(Error::MissingTemplate)));
    assert!(processor.encode("x").is_ok());
}
