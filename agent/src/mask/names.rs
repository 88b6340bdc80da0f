//! What a column's name says of its values, for people who classify: a guess, which nothing is masked by.

/// Words and, behind `+`, words that follow each other, with the class that they suggest.
const HINTS: [(&str, &[&str]); 6] = [
    ("email", &["email", "mail", "emailaddress", "e+mail"]),
    ("ssn", &["ssn", "social+security", "socialsecurity", "sozialversicherung"]),
    ("credit_card", &["card", "creditcard", "cardnumber", "pan", "cc+number", "ccnumber"]),
    ("iban", &["iban", "bank+account"]),
    (
        "secret",
        &[
            "password",
            "passwd",
            "pwd",
            "passphrase",
            "secret",
            "token",
            "api+key",
            "apikey",
            "private+key",
            "otp",
            "pin",
        ],
    ),
    (
        "pii",
        &[
            "phone",
            "mobile",
            "fax",
            "address",
            "street",
            "birth",
            "birthday",
            "birthdate",
            "dob",
            "surname",
            "firstname",
            "lastname",
            "first+name",
            "last+name",
            "full+name",
            "passport",
            "tax+id",
            "taxid",
            "nationality",
            "gender",
        ],
    ),
];

/// The class that a column of this name most likely has.
pub fn class_of_name(column: &str) -> Option<&'static str> {
    let words = words(column);
    HINTS.iter().find_map(|(class, hints)| hints.iter().any(|hint| has(&words, hint)).then_some(*class))
}

fn has(words: &[String], hint: &str) -> bool {
    let parts: Vec<&str> = hint.split('+').collect();
    words.windows(parts.len()).any(|window| window.iter().zip(&parts).all(|(word, part)| word == part))
}

/// `customerEmail_2` is customer, email, 2; a plural is its singular.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for c in name.chars() {
        let begins = !c.is_alphanumeric() || (c.is_uppercase() && was_lower);
        if begins {
            words.push(String::new());
        }
        if c.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(c.to_lowercase());
        }
        was_lower = c.is_lowercase() || c.is_numeric();
    }
    words.retain(|word| !word.is_empty());
    for word in &mut words {
        if word.len() > 3 && word.ends_with('s') && !word.ends_with("ss") {
            word.pop();
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_by_their_words() {
        for (name, class) in [
            ("email", Some("email")),
            ("customerEmail", Some("email")),
            ("E_MAIL", Some("email")),
            ("billing_emails", Some("email")),
            ("social_security_number", Some("ssn")),
            ("card_number", Some("credit_card")),
            ("password_hash", Some("secret")),
            ("apiKey", Some("secret")),
            ("date_of_birth", Some("pii")),
            ("discard", None),
            ("company", None),
            ("spin", None),
            ("id", None),
            ("", None),
            ("___", None),
        ] {
            assert_eq!(class_of_name(name), class, "{name}");
        }
    }
}
