//! Cardinal numbers in English words.

const SMALL: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: [&str; 10] = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
const THOUSANDS: [&str; 7] = ["", " thousand", " million", " billion", " trillion", " quadrillion", " quintillion"];

/// Formats a number in English words like the Python package num2words 0.5.14, which the reference uses: `twenty-one`,
/// `one hundred and one`, `one thousand, two hundred and thirty-four`.
pub fn cardinal(number: usize) -> String {
    if number == 0 {
        return SMALL[0].to_owned();
    }
    let mut words = String::new();
    for (power, name) in THOUSANDS.iter().enumerate().rev() {
        let group = number / 1000_usize.pow(power as u32) % 1000;
        if group == 0 {
            continue;
        }
        if !words.is_empty() {
            words.push_str(if power == 0 && group < 100 { " and " } else { ", " });
        }
        words.push_str(&below_thousand(group));
        words.push_str(name);
    }
    words
}

fn below_thousand(number: usize) -> String {
    let (hundreds, rest) = (number / 100, number % 100);
    let rest_words = match (rest / 10, rest % 10) {
        (0 | 1, _) => SMALL[rest].to_owned(),
        (tens, 0) => TENS[tens].to_owned(),
        (tens, ones) => format!("{}-{}", TENS[tens], SMALL[ones]),
    };
    match (hundreds, rest) {
        (0, _) => rest_words,
        (_, 0) => format!("{} hundred", SMALL[hundreds]),
        _ => format!("{} hundred and {rest_words}", SMALL[hundreds]),
    }
}

#[cfg(test)]
mod tests {
    use super::cardinal;

    #[test]
    fn numbers_match_num2words() {
        for (number, words) in [
            (0, "zero"),
            (13, "thirteen"),
            (40, "forty"),
            (64, "sixty-four"),
            (100, "one hundred"),
            (101, "one hundred and one"),
            (999, "nine hundred and ninety-nine"),
            (1000, "one thousand"),
            (1001, "one thousand and one"),
            (1234, "one thousand, two hundred and thirty-four"),
            (12_345, "twelve thousand, three hundred and forty-five"),
            (1_000_001, "one million and one"),
            (1_200_000, "one million, two hundred thousand"),
        ] {
            assert_eq!(cardinal(number), words);
        }
        assert!(cardinal(usize::MAX).starts_with("eighteen quintillion, "));
    }
}
