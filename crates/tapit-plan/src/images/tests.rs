//! Images and a budget in, what goes out.

use super::*;
use PruneExtent as Extent;

/// `DIGIT KIND TURN LAYER:BYTES,…` a line; a kind is `pull`, `build`, `import` or `none` for a nameless one, with `!`
/// when it is in use.
fn images(text: &str) -> Vec<Held<String>> {
    let image = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [digit, kind, turn, layers] = words[..] else { panic!("{line:?} is not an image") };
        let (kind, in_use) = kind.strip_suffix('!').map_or((kind, false), |kind| (kind, true));
        let layer = |text: &str| {
            let (name, bytes) = text.split_once(':').expect("LAYER:BYTES");
            (name.to_owned(), bytes.parse().expect("bytes"))
        };
        Held {
            digest: digest(digit),
            origin: ImageOrigin::parse(kind).unwrap_or(ImageOrigin::Import),
            named: kind != "none",
            in_use,
            turn: turn.parse().expect("turn"),
            layers: layers.split(',').map(layer).collect(),
        }
    };
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(image).collect()
}

fn digest(digit: &str) -> Digest {
    Digest::parse(&format!("sha256:{}", digit.repeat(64))).expect("digest")
}

/// `GONE freed BYTES over BYTES`.
fn told(choice: &Choice) -> String {
    let gone: String = choice.gone.iter().map(|digest| &digest.hex()[..1]).collect();
    format!("{gone} freed {} over {}", choice.freed, choice.over)
}

#[track_caller]
fn check(text: &str, cases: &[(Extent, u64, &str)]) {
    let held = images(text);
    for (extent, beside, expected) in cases {
        assert_eq!(told(&choose(&held, *extent, *beside)), *expected, "{extent:?} beside {beside}");
    }
}

#[test]
fn what_was_used_longest_ago_goes_first_and_only_as_much_as_is_needed() {
    check(
        "a pull 3 x:100
         b pull 1 y:100
         c pull 2 z:100",
        &[
            (Extent::Budget(300), 0, " freed 0 over 0"),
            (Extent::Budget(299), 0, "b freed 100 over 0"),
            (Extent::Budget(200), 0, "b freed 100 over 0"),
            (Extent::Budget(100), 0, "bc freed 200 over 0"),
            (Extent::Budget(0), 0, "bca freed 300 over 0"),
            // Layers of an image on its way count, though nothing of it can go.
            (Extent::Budget(300), 50, "b freed 100 over 0"),
            (Extent::Budget(40), 50, "bca freed 300 over 10"),
            (Extent::Unused, 50, "abc freed 300 over 0"),
        ],
    );
}

#[test]
fn what_can_be_had_again_goes_before_what_was_built_and_what_was_imported_stays() {
    check(
        "a import 1 x:10
         b build 2 y:10
         c pull 9 z:10
         d none 8 w:10",
        &[
            (Extent::Budget(39), 0, "d freed 10 over 0"),
            (Extent::Budget(20), 0, "dc freed 20 over 0"),
            (Extent::Budget(10), 0, "dcb freed 30 over 0"),
            (Extent::Budget(5), 0, "dcb freed 30 over 5"),
            (Extent::Unused, 0, "abcd freed 40 over 0"),
        ],
    );
}

#[test]
fn nothing_in_use_goes_and_the_rest_of_the_excess_is_told() {
    check(
        "a pull! 1 x:10
         b none! 2 y:10
         c build! 3 z:10
         d pull 4 w:10",
        &[(Extent::Budget(0), 0, "d freed 10 over 30"), (Extent::Unused, 0, "d freed 10 over 0")],
    );
}

#[test]
fn shared_layers_are_counted_once_and_no_image_is_lost_for_nothing() {
    let two = "a pull 1 base:100,x:10
               b pull 2 base:100,y:10";
    check(
        two,
        &[
            (Extent::Budget(120), 0, " freed 0 over 0"),
            (Extent::Budget(110), 0, "a freed 10 over 0"),
            (Extent::Budget(109), 0, "ab freed 120 over 0"),
        ],
    );
    // All of a's bytes stay for b's sake, which is in use: only c can help.
    check(
        "a pull 1 base:100
         b pull! 2 base:100,y:10
         c pull 3 base:100,z:10",
        &[(Extent::Budget(110), 0, "c freed 10 over 0"), (Extent::Budget(50), 0, "c freed 10 over 60")],
    );
    // Both must go for their common layer to go.
    check("a pull 1 base:100\n b none 2 base:100", &[(Extent::Budget(10), 0, "ab freed 100 over 0")]);
}

#[test]
fn equal_turns_have_an_order_all_the_same() {
    let (one, other) = ("a pull 1 x:10\n b pull 1 y:10", "b pull 1 y:10\n a pull 1 x:10");
    for text in [one, other] {
        check(text, &[(Extent::Budget(10), 0, "a freed 10 over 0")]);
    }
    check("", &[(Extent::Budget(0), 7, " freed 0 over 7"), (Extent::Unused, 7, " freed 0 over 0")]);
}
