//! The grammar of label selectors in text form.

use crate::labels::{Operator, Requirement, SelectorError, check_parsed_key};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    End,
    Comma,
    Open,
    Close,
    Not,
    Operator(Operator),
    Identifier,
    /// Characters of operators that form none.
    Unknown,
}

struct Scanner<'a> {
    rest: &'a str,
}

impl<'a> Scanner<'a> {
    fn next(&mut self) -> (Token, &'a str) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
        let Some(first) = self.rest.chars().next() else {
            return (Token::End, "");
        };
        if !special(first) {
            let end = self
                .rest
                .find(|c| special(c) || " \t\r\n".contains(c))
                .unwrap_or(self.rest.len());
            return (Token::Identifier, self.take(end));
        }
        if let Some(token) = bracket(first) {
            return (token, self.take(1));
        }
        let length = match self.rest.as_bytes() {
            [b'=', b'=', ..] | [b'!', b'=', ..] => 2,
            _ => 1,
        };
        let text = self.take(length);
        let token = match text {
            "=" => Token::Operator(Operator::Equals),
            "==" => Token::Operator(Operator::DoubleEquals),
            "!=" => Token::Operator(Operator::NotEquals),
            ">" => Token::Operator(Operator::GreaterThan),
            "<" => Token::Operator(Operator::LessThan),
            "!" => Token::Not,
            _ => Token::Unknown,
        };
        (token, text)
    }

    fn peek(&self) -> (Token, &'a str) {
        Scanner { rest: self.rest }.next()
    }

    fn take(&mut self, length: usize) -> &'a str {
        let (text, rest) = self.rest.split_at(length);
        self.rest = rest;
        text
    }
}

fn bracket(c: char) -> Option<Token> {
    match c {
        '(' => Some(Token::Open),
        ')' => Some(Token::Close),
        ',' => Some(Token::Comma),
        _ => None,
    }
}

fn special(c: char) -> bool {
    "=!(),<>".contains(c)
}

fn expected<T>(found: &str, what: &str) -> Result<T, SelectorError> {
    Err(SelectorError(format!("found '{found}', expected: {what}")))
}

/// The requirements of a selector's text, in the order written.
pub(crate) fn parse(text: &str) -> Result<Vec<Requirement>, SelectorError> {
    let mut scanner = Scanner { rest: text };
    let mut requirements = Vec::new();
    loop {
        let (token, literal) = scanner.peek();
        match token {
            Token::Identifier | Token::Not => {}
            Token::End => return Ok(requirements),
            _ => return expected(literal, "!, identifier, or 'end of string'"),
        }
        let requirement = requirement(&mut scanner)
            .map_err(|e| SelectorError(format!("unable to parse requirement: {e}")))?;
        requirements.push(requirement);
        match scanner.next() {
            (Token::End, _) => return Ok(requirements),
            (Token::Comma, _) => {
                let (token, literal) = scanner.peek();
                if !matches!(token, Token::Identifier | Token::Not) {
                    return expected(literal, "identifier after ','");
                }
            }
            (_, literal) => return expected(literal, "',' or 'end of string'"),
        }
    }
}

fn requirement(scanner: &mut Scanner) -> Result<Requirement, SelectorError> {
    let (mut token, mut key) = scanner.next();
    let negated = token == Token::Not;
    if negated {
        (token, key) = scanner.next();
    }
    if token != Token::Identifier {
        return expected(key, "identifier");
    }
    check_parsed_key(key)?;
    if negated {
        return Requirement::new(key, Operator::DoesNotExist, Vec::new());
    }
    if matches!(scanner.peek().0, Token::End | Token::Comma) {
        return Requirement::new(key, Operator::Exists, Vec::new());
    }
    let operator = match scanner.next() {
        (Token::Operator(operator), _) => operator,
        (Token::Identifier, "in") => Operator::In,
        (Token::Identifier, "notin") => Operator::NotIn,
        (_, literal) => return expected(literal, "in, notin, =, ==, !=, gt, lt"),
    };
    let values = match operator {
        Operator::In | Operator::NotIn => values(scanner)?,
        _ => match scanner.peek() {
            (Token::End | Token::Comma, _) => vec![String::new()],
            (Token::Identifier, literal) => {
                scanner.next();
                vec![literal.to_owned()]
            }
            (_, literal) => return expected(literal, "identifier"),
        },
    };
    Requirement::new(key, operator, values)
}

/// `(x, y)`; an omitted value counts as an empty one.
fn values(scanner: &mut Scanner) -> Result<Vec<String>, SelectorError> {
    match scanner.next() {
        (Token::Open, _) => {}
        (_, literal) => return Err(SelectorError(format!("found '{literal}' expected: '('"))),
    }
    let mut values = Vec::new();
    if scanner.peek().0 == Token::Close {
        scanner.next();
        return Ok(values);
    }
    loop {
        match scanner.peek() {
            (Token::Identifier, literal) => {
                scanner.next();
                values.push(literal.to_owned());
            }
            (Token::Comma | Token::Close, _) => values.push(String::new()),
            (_, literal) => return expected(literal, "',', ')' or identifier"),
        }
        match scanner.next() {
            (Token::Comma, _) => {}
            (Token::Close, _) => return Ok(values),
            (_, literal) => return expected(literal, "',' or ')'"),
        }
    }
}
