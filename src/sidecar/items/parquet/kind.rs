//! What the values of a column mean, by the schema, and how JSON spells them.

use parquet::{
    basic::{ConvertedType, LogicalType, TimeUnit, Type},
    data_type::{ByteArray, FixedLenByteArray, Int96},
    schema::types::ColumnDescriptor,
};

use super::{
    calendar::{self, Unit},
    decimal,
    text::Text,
};

/// What a column holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// By its physical type: truths, signed numbers, floats, bytes, instants of 96 bits.
    Plain,
    /// Unsigned, of this many bits.
    Unsigned(u32),
    /// With this many digits behind the point.
    Decimal(usize),
    Date,
    Time(Unit),
    Timestamp {
        unit: Unit,
        is_utc: bool,
    },
    Text,
    Uuid,
    Half,
    Interval,
}

impl Kind {
    /// The logical type where there is one, else the older converted type.
    pub(super) fn of(column: &ColumnDescriptor) -> Self {
        match column.logical_type_ref() {
            Some(LogicalType::String | LogicalType::Enum | LogicalType::Json) => Self::Text,
            Some(LogicalType::Uuid) => Self::Uuid,
            Some(LogicalType::Float16) => Self::Half,
            Some(LogicalType::Date) => Self::Date,
            Some(LogicalType::Decimal(decimal)) => Self::Decimal(usize::try_from(decimal.scale).unwrap_or(0)),
            Some(LogicalType::Time(time)) => Self::Time(unit(time.unit)),
            Some(LogicalType::Timestamp(stamp)) => {
                Self::Timestamp { unit: unit(stamp.unit), is_utc: stamp.is_adjusted_to_u_t_c }
            }
            Some(LogicalType::Integer(int)) if !int.is_signed => {
                Self::Unsigned(u32::try_from(int.bit_width).unwrap_or(64))
            }
            _ => Self::of_converted(column),
        }
    }

    fn of_converted(column: &ColumnDescriptor) -> Self {
        match column.converted_type() {
            ConvertedType::UTF8 | ConvertedType::ENUM | ConvertedType::JSON => Self::Text,
            ConvertedType::DECIMAL => Self::Decimal(usize::try_from(column.type_scale()).unwrap_or(0)),
            ConvertedType::DATE => Self::Date,
            ConvertedType::TIME_MILLIS => Self::Time(Unit::Milli),
            ConvertedType::TIME_MICROS => Self::Time(Unit::Micro),
            // Since these say no more, they are instants of UTC.
            ConvertedType::TIMESTAMP_MILLIS => Self::Timestamp { unit: Unit::Milli, is_utc: true },
            ConvertedType::TIMESTAMP_MICROS => Self::Timestamp { unit: Unit::Micro, is_utc: true },
            ConvertedType::UINT_8 => Self::Unsigned(8),
            ConvertedType::UINT_16 => Self::Unsigned(16),
            ConvertedType::UINT_32 => Self::Unsigned(32),
            ConvertedType::UINT_64 => Self::Unsigned(64),
            ConvertedType::INTERVAL => Self::Interval,
            _ => Self::Plain,
        }
    }

    /// Whether its values are texts in JSON that can be keys.
    pub(super) fn is_key(self, physical: Type) -> bool {
        matches!(physical, Type::BYTE_ARRAY | Type::FIXED_LEN_BYTE_ARRAY)
            && matches!(self, Self::Text | Self::Uuid)
    }
}

fn unit(unit: TimeUnit) -> Unit {
    match unit {
        TimeUnit::MILLIS => Unit::Milli,
        TimeUnit::MICROS => Unit::Micro,
        TimeUnit::NANOS => Unit::Nano,
    }
}

/// A value as it is stored.
pub(super) trait Cell {
    /// Writes it, or says what it is that JSON has no words for.
    fn write(&self, kind: Kind, text: &mut Text) -> Result<(), &'static str>;
}

impl Cell for bool {
    fn write(&self, _: Kind, text: &mut Text) -> Result<(), &'static str> {
        text.raw(if *self { "true" } else { "false" });
        Ok(())
    }
}

impl Cell for i32 {
    fn write(&self, kind: Kind, text: &mut Text) -> Result<(), &'static str> {
        match kind {
            // Smaller ones may be stored with bits beyond their own.
            Kind::Unsigned(bits) => {
                let mask = 1_u64.checked_shl(bits).map_or(u64::MAX, |end| end - 1);
                text.raw(&(u64::from(self.cast_unsigned()) & mask).to_string());
                Ok(())
            }
            kind => i64::from(*self).write(kind, text),
        }
    }
}

impl Cell for i64 {
    fn write(&self, kind: Kind, text: &mut Text) -> Result<(), &'static str> {
        match kind {
            Kind::Unsigned(_) => text.raw(&self.cast_unsigned().to_string()),
            Kind::Decimal(scale) => text.raw(&decimal::of_bytes(&self.to_be_bytes(), scale)?),
            Kind::Date => text.string(&calendar::date(*self)),
            Kind::Time(unit) => {
                text.string(&calendar::time(*self, unit).ok_or("a time that no day has")?);
            }
            Kind::Timestamp { unit, is_utc } => text.string(&calendar::timestamp(*self, unit, is_utc)),
            _ => text.raw(&self.to_string()),
        }
        Ok(())
    }
}

impl Cell for Int96 {
    fn write(&self, _: Kind, text: &mut Text) -> Result<(), &'static str> {
        /// The Julian day of 1970-01-01.
        const EPOCH: i64 = 2_440_588;
        let [low, high, day] = self.data() else { return Err("an instant of the wrong length") };
        let nanos = (u64::from(*high) << 32 | u64::from(*low)).cast_signed();
        text.string(&calendar::day_and_nanos(i64::from(*day) - EPOCH, nanos));
        Ok(())
    }
}

impl Cell for f32 {
    fn write(&self, _: Kind, text: &mut Text) -> Result<(), &'static str> {
        if self.is_finite() {
            text.value(self, 1);
        } else {
            text.raw("null");
        }
        Ok(())
    }
}

impl Cell for f64 {
    fn write(&self, _: Kind, text: &mut Text) -> Result<(), &'static str> {
        if self.is_finite() {
            text.value(self, 1);
        } else {
            text.raw("null");
        }
        Ok(())
    }
}

impl Cell for ByteArray {
    fn write(&self, kind: Kind, text: &mut Text) -> Result<(), &'static str> {
        bytes(self.data(), kind, text)
    }
}

impl Cell for FixedLenByteArray {
    fn write(&self, kind: Kind, text: &mut Text) -> Result<(), &'static str> {
        bytes(self.data(), kind, text)
    }
}

fn bytes(bytes: &[u8], kind: Kind, text: &mut Text) -> Result<(), &'static str> {
    match kind {
        Kind::Text => text.string(std::str::from_utf8(bytes).map_err(|_| "a text that is not UTF-8")?),
        Kind::Decimal(scale) => text.raw(&decimal::of_bytes(bytes, scale)?),
        Kind::Uuid => {
            let uuid = uuid::Uuid::from_slice(bytes).map_err(|_| "a UUID of the wrong length")?;
            text.string(&uuid.to_string());
        }
        Kind::Half => match bytes {
            [low, high] => half(u16::from_le_bytes([*low, *high])).write(Kind::Plain, text)?,
            _ => return Err("a number of the wrong length"),
        },
        Kind::Interval => match bytes.as_chunks::<4>() {
            ([months, days, millis], []) => {
                let [months, days, millis] = [months, days, millis].map(|part| u32::from_le_bytes(*part));
                text.string(&calendar::interval(months, days, millis));
            }
            _ => return Err("an interval of the wrong length"),
        },
        _ => text.base64(bytes),
    }
    Ok(())
}

/// IEEE 754 binary16: one bit of sign, five of exponent, ten of fraction.
fn half(bits: u16) -> f32 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f32::from(bits & 0x3ff));
    sign * match exponent {
        0 => fraction * 2_f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1024.0 + fraction) * 2_f32.powi(exponent - 25),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision() {
        for (bits, want) in [
            (0x0000, 0.0),
            (0x8000, -0.0),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x0001, 2_f32.powi(-24)),
            (0x0400, 2_f32.powi(-14)),
            (0x3555, 0.333_251_95),
            (0x7c00, f32::INFINITY),
            (0xfc00, f32::NEG_INFINITY),
        ] {
            assert_eq!(half(bits).to_bits(), f32::to_bits(want), "{bits:x}");
        }
        assert!(half(0x7c01).is_nan());
    }
}
