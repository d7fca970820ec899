//! Malicious chat templates: all must result in an error or in text, never in a crash.

mod common;

use common::{Random, mutated};
use smolvlm_processor::{ChatTemplate, Error, Message, RELEASED_CHAT_TEMPLATE, RenderOptions, SpecialTokens};

fn print(template: &str) -> Result<String, Error> {
    let template = ChatTemplate::new(template, 1_000_000)?;
    let message = Message::user().image("a.png").text("x".repeat(1000));
    template.render(&message.into(), &SpecialTokens::released(), &RenderOptions::answer())
}

#[test]
fn endless_loops_are_errors() {
    let loops = [
        "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
        "{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}",
        "{% macro f() %}{% generation %}{{ f() }}{% endgeneration %}{% endmacro %}{{ f() }}",
        "{% macro f() %}{% call f() %}{% generation %}{{ caller() }}{% endgeneration %}{% endcall %}{% endmacro %}{{ f() }}",
        "{% for i in [1] recursive %}{{ loop([1]) }}{% endfor %}",
        "{% set t = messages[0].content[1].text %}{% for i in range(100000) %}{{ t }}{% endfor %}",
        "{% set ns = namespace(t='ab') %}{% for i in range(100000) %}{% set ns.t = ns.t + ns.t %}{% endfor %}",
        "{{ 'x' * 100000000000 }}",
        "{{ ('x' * 1000000).replace('x', 'y' * 1000000) }}",
        "{{ ('x' * 10000000).join(range(10000)) }}",
        "{{ ('x' * 10000000).split('') }}",
        "{{ '{:>99999999999999}'.format('x') }}",
        "{{ '%99999999999999s' | format('x') }}",
        "{{ 'x' | indent(99999999999999, true) }}",
        "{{ 'x' | center(99999999999999) }}",
        "{{ [1] | tojson(indent=99999999999999) }}",
        "{{ [[]] * 10000000 | tojson }}",
    ];
    for template in loops {
        assert!(matches!(print(template), Err(Error::Template { .. })), "{template}");
    }
}

#[test]
fn nested_namespaces_are_errors() {
    let nested = [
        "{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}",
        "{% set ns = namespace() %}{% set ns.x = [ns] %}{{ ns }}",
        "{% set ns = namespace() %}{% set ns.x = {'a': ns} %}{{ ns | tojson }}",
        "{% set ns = namespace() %}{% set ns.x = ns.items() %}{{ ns }}",
        "{% set ns = namespace(x=[]) %}{% for i in range(100000) %}{% set ns.x = [ns.x] %}{% endfor %}",
        "{% set ns = namespace(x=namespace()) %}",
        "{% set ns = namespace(x=namespace) %}{% set ns.x = range %}",
        "{% set ns = {} %}{# namespace #}{% set ns.x = 1 %}",
        "{# namespace #}{% set messages.x = 1 %}",
        "{% set ns = namespace() %}{% set ns.x %}block{% endset %}",
    ];
    for template in nested {
        assert!(matches!(print(template), Err(Error::Template { .. })), "{template}");
    }
}

#[test]
fn long_chains_do_not_overflow_the_stack() {
    let length = 32_000;
    let units = [
        ("{{ 1", "+1", "}}"),
        ("{{ ", "-", "1 }}"),
        ("{{ ", "not ", "1 }}"),
        ("{{ a", ".x", "}}"),
        ("{{ a", "()", "}}"),
        ("{{ a", "[0]", "}}"),
        ("{{ a", "|e", "}}"),
        ("{{ ", "2**", "2 }}"),
        ("{{ ", "a~", "2 }}"),
        ("{{ ", "1 if 1 else ", "2 }}"),
        ("{% if a %}", "{% elif b %}", "{% endif %}"),
        ("", "{% if a %}", ""),
        ("", "{% for a in a %}", ""),
        ("", "{% generation %}", ""),
        ("{{ ", "(", "}}"),
        ("{{ ", "[", "}}"),
        ("{{ ", "{1:", "}}"),
    ];
    for (head, unit, tail) in units {
        let template = format!("{head}{}{tail}", unit.repeat(length / unit.len()));
        // Both text and an error are acceptable; the call must return.
        drop(print(&template));
    }
    // The engine's recursion limit must apply before the stack overflows.
    for depth in [10, 100, 400, 900] {
        let nested = format!("{}x{}", "{% generation %}".repeat(depth), "{% endgeneration %}".repeat(depth));
        match print(&nested) {
            Ok(text) => assert_eq!(text, "x"),
            Err(error) => assert!(depth >= 100 && matches!(error, Error::Template { .. }), "{depth}: {error}"),
        }
    }
    assert!(matches!(print(&"x".repeat(40_000)), Err(Error::Template { line: None, .. })));
}

#[test]
fn mutated_templates_do_not_panic() {
    const OTHER: &str = "{% set ns = namespace(n=0) %}{# c #}{%- for m in messages -%}{% set ns.n = ns.n + 1 %}\
        {{ m['role'].upper() ~ loop.index | tojson(indent=2) }}{% if m.content is string %}{{ m.content }}{% else %}\
        {% for c in m.content if c.type != 'x' %}{{ c.text | trim or '' }}{% endfor %}{% endif %}{% endfor %}\
        {% macro f(a, b=1) %}{{ a.split(',')[b:] | join('-') }}{% endmacro %}{{ f('1,2') }}{{ raise_exception('e') }}";
    let alphabet: Vec<char> = "{}%#'\"|.()[]-+*~= \n\\0azé".chars().collect();
    let mut random = Random(7);
    let mut rendered = 0;
    for round in 0..3000 {
        let seed = if round % 2 == 0 { RELEASED_CHAT_TEMPLATE } else { OTHER };
        match print(&mutated(seed, &alphabet, &mut random)) {
            Ok(_) => rendered += 1,
            Err(Error::Template { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert!(rendered > 100, "only {rendered} mutated templates rendered: the mutations are too wild to test much");
}
