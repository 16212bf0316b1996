//! Tokens of an expression.

use super::literal::{self, Form};
use super::tree::Constant;
use crate::issue::Issues;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Ident(String),
    Constant(Constant),
    /// A number without its sign: the least integer has none that is positive.
    Number(String),
    /// An operator or a bracket.
    Sign(&'static str),
    End,
}

/// A token and where it begins, in characters, with its text.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub token: Token,
    pub at: usize,
    pub text: String,
}

/// Longest first where one begins another.
const SIGNS: [&str; 24] = [
    "==", "!=", "<=", ">=", "&&", "||", "<", ">", "!", "(", ")", "[", "]", "{", "}", ".", ",", ":",
    "?", "+", "-", "*", "/", "%",
];

pub(super) fn tokens(text: &[char], issues: &mut Issues) -> Vec<Placed> {
    let mut lexer = Lexer { text, at: 0 };
    let mut tokens = Vec::new();
    loop {
        lexer.skip_space();
        let at = lexer.at;
        let token = match lexer.next() {
            Ok(token) => token,
            Err(words) => {
                issues.add(at, words);
                lexer.at = lexer.at.max(at + 1);
                continue;
            }
        };
        let end = token == Token::End;
        let text = match end {
            true => "<EOF>".to_owned(),
            false => text[at..lexer.at].iter().collect(),
        };
        tokens.push(Placed { token, at, text });
        if end {
            return tokens;
        }
    }
}

struct Lexer<'t> {
    text: &'t [char],
    at: usize,
}

impl Lexer<'_> {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.text.get(self.at + ahead).copied()
    }

    fn skip_space(&mut self) {
        loop {
            match self.peek(0) {
                Some(' ' | '\t' | '\r' | '\n' | '\u{c}') => self.at += 1,
                Some('/') if self.peek(1) == Some('/') => {
                    while self.peek(0).is_some_and(|c| c != '\n') {
                        self.at += 1;
                    }
                }
                _ => return,
            }
        }
    }

    fn next(&mut self) -> Result<Token, String> {
        let Some(first) = self.peek(0) else {
            return Ok(Token::End);
        };
        if let Some(form) = self.text_form() {
            return self.quoted(form);
        }
        let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
        if first.is_ascii_digit() || (first == '.' && digit(self.peek(1))) {
            return self.number();
        }
        if first.is_ascii_alphabetic() || first == '_' {
            let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let name = self.take_while(word);
            return Ok(match name.as_str() {
                "true" => Token::Constant(Constant::Bool(true)),
                "false" => Token::Constant(Constant::Bool(false)),
                "null" => Token::Constant(Constant::Null),
                "in" => Token::Sign("in"),
                _ => Token::Ident(name),
            });
        }
        let sign = SIGNS.iter().find(|sign| {
            sign.chars()
                .enumerate()
                .all(|(i, c)| self.peek(i) == Some(c))
        });
        match sign {
            Some(sign) => {
                self.at += sign.len();
                Ok(Token::Sign(sign))
            }
            None => Err(format!(
                "Syntax error: token recognition error at: '{first}'"
            )),
        }
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> String {
        let start = self.at;
        while self.peek(0).is_some_and(&wanted) {
            self.at += 1;
        }
        self.text[start..self.at].iter().collect()
    }

    fn number(&mut self) -> Result<Token, String> {
        let start = self.at;
        if self.peek(0) == Some('0') && self.peek(1) == Some('x') {
            self.at += 2;
            self.take_while(|c| c.is_ascii_hexdigit());
        } else {
            let digits = |c: char| c.is_ascii_digit();
            self.take_while(digits);
            if self.peek(0) == Some('.') && self.peek(1).is_some_and(digits) {
                self.at += 1;
                self.take_while(digits);
            }
            let signed = matches!(self.peek(1), Some('+' | '-'));
            let exponent = self.peek(if signed { 2 } else { 1 });
            if matches!(self.peek(0), Some('e' | 'E')) && exponent.is_some_and(digits) {
                self.at += if signed { 2 } else { 1 };
                self.take_while(digits);
            }
        }
        let text: String = self.text[start..self.at].iter().collect();
        let decimal = !text.starts_with("0x") && text.contains(['.', 'e', 'E']);
        if !decimal && matches!(self.peek(0), Some('u' | 'U')) {
            self.at += 1;
            return literal::unsigned(&text).map(Token::Constant);
        }
        Ok(Token::Number(text))
    }

    /// The form of the text that begins here, if one does.
    fn text_form(&self) -> Option<Form> {
        let mut form = Form::default();
        let mut ahead = 0;
        loop {
            match self.peek(ahead)? {
                'r' | 'R' if !form.raw => form.raw = true,
                'b' | 'B' if !form.bytes && !form.raw => form.bytes = true,
                quote @ ('"' | '\'') => {
                    let triple = (1..3).all(|i| self.peek(ahead + i) == Some(quote));
                    form.quotes = [quote].repeat(if triple { 3 } else { 1 });
                    form.prefix = ahead;
                    return Some(form);
                }
                _ => return None,
            }
            ahead += 1;
        }
    }

    fn quoted(&mut self, form: Form) -> Result<Token, String> {
        let start = self.at;
        self.at += form.prefix + form.quotes.len();
        let body = self.at;
        let unterminated = |lexer: &Self| {
            let shown: String = lexer.text[start..lexer.at].iter().collect();
            Err(format!(
                "Syntax error: token recognition error at: '{shown}'"
            ))
        };
        loop {
            match self.peek(0) {
                None => return unterminated(self),
                Some('\n' | '\r') if form.quotes.len() == 1 => return unterminated(self),
                Some('\\') if !form.raw => self.at += 2,
                _ if self.text[self.at..].starts_with(&form.quotes) => break,
                _ => self.at += 1,
            }
            if self.at > self.text.len() {
                self.at = self.text.len();
                return unterminated(self);
            }
        }
        let content = &self.text[body..self.at];
        self.at += form.quotes.len();
        literal::text(content, &form).map(Token::Constant)
    }
}
