//! Decimal numbers of any length, from the bytes of their digits without the point.

/// Writes a number in two's complement, highest byte first, with a point before the last `scale` digits. It has every
/// digit that is stored: a float of JSON would lose some.
pub(super) fn of_bytes(bytes: &[u8], scale: usize) -> Result<String, &'static str> {
    if bytes.len() > MOST_BYTES || scale > MOST_BYTES * 3 {
        return Err("a number with more digits than can be read");
    }
    let is_negative = bytes.first().is_some_and(|first| first & 0x80 != 0);
    let mut digits = digits(magnitude(bytes, is_negative));
    while digits.len() <= scale {
        digits.push(b'0');
    }
    let mut text = String::with_capacity(digits.len() + 2);
    if is_negative {
        text.push('-');
    }
    for (place, digit) in digits.iter().enumerate().rev() {
        text.push(char::from(*digit));
        if place == scale && scale > 0 {
            text.push('.');
        }
    }
    Ok(text)
}

/// The bytes of the number without its sign, highest first.
fn magnitude(bytes: &[u8], is_negative: bool) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if is_negative {
        let mut has_carry = true;
        for byte in bytes.iter_mut().rev() {
            (*byte, has_carry) = (!*byte).overflowing_add(u8::from(has_carry));
        }
    }
    bytes
}

/// The decimal digits, lowest first, at least one.
fn digits(mut number: Vec<u8>) -> Vec<u8> {
    let mut digits = Vec::new();
    loop {
        let mut rest = 0_u16;
        for byte in &mut number {
            let part = rest << 8 | u16::from(*byte);
            *byte = u8::try_from(part / 10).expect("the rest is below ten, so the part is below 2560");
            rest = part % 10;
        }
        digits.push(b'0' + u8::try_from(rest).expect("below ten"));
        if number.iter().all(|byte| *byte == 0) {
            return digits;
        }
    }
}

/// Twice what any writer stores: 76 digits in 32 bytes.
const MOST_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_digit_is_kept() {
        for (number, scale, want) in [
            (0_i128, 0, "0"),
            (0, 2, "0.00"),
            (5, 0, "5"),
            (5, 1, "0.5"),
            (-5, 3, "-0.005"),
            (-12345, 2, "-123.45"),
            (1000, 3, "1.000"),
            (i128::MAX, 10, "17014118346046923173168730371.5884105727"),
            (i128::MIN, 38, "-1.70141183460469231731687303715884105728"),
            (99_999_999_999_999_999_999_999_999_999_999_999_999, 0, "99999999999999999999999999999999999999"),
        ] {
            assert_eq!(of_bytes(&number.to_be_bytes(), scale).unwrap(), want);
        }
        assert_eq!(of_bytes(&[0xff], 0).unwrap(), "-1");
        assert_eq!(of_bytes(&[0x80], 1).unwrap(), "-12.8");
        assert_eq!(of_bytes(&[], 0).unwrap(), "0");
        assert!(of_bytes(&[1; 65], 0).is_err());
    }
}
