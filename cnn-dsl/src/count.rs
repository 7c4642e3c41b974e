//! Arithmetic on sizes that cannot wrap.

use crate::diagnostics::thousands;

/// The most values that one tensor, the weights of one model, or all its activations may hold:
/// 2^40, four TiB of `f32`. Any real network is far below, and every byte count that derives from
/// such numbers fits `u64` with room to spare.
pub const MAX_VALUES: u64 = 1 << 40;

/// A product of sizes, `None` beyond `u128`.
#[must_use]
pub fn product(sizes: &[u64]) -> Option<u128> {
    sizes.iter().try_fold(1_u128, |product, size| product.checked_mul(u128::from(*size)))
}

/// A sum of products of sizes, `None` beyond `u128`.
#[must_use]
pub fn sum_of_products(terms: &[&[u64]]) -> Option<u128> {
    terms.iter().try_fold(0_u128, |sum, term| sum.checked_add(product(term)?))
}

/// `count` if it is at most `limit`.
///
/// # Errors
///
/// A sentence with the exact count, as far as it fits `u128`.
pub fn within(count: Option<u128>, limit: u64, what: &str) -> Result<u64, String> {
    match count.map(|count| (count, u64::try_from(count))) {
        Some((_, Ok(count))) if count <= limit => Ok(count),
        Some((count, _)) => Err(format!(
            "size overflow: {} {what} exceed the limit of {}",
            thousands(count),
            thousands(limit.into())
        )),
        None => Err(format!(
            "size overflow: more than 2^128 {what} exceed the limit of {}",
            thousands(limit.into())
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_stop_at_u128() {
        assert_eq!(product(&[]), Some(1));
        assert_eq!(product(&[u64::MAX, u64::MAX]), Some(u128::from(u64::MAX).pow(2)));
        assert_eq!(product(&[u64::MAX, u64::MAX, 2]), None);
        assert_eq!(sum_of_products(&[&[u64::MAX, u64::MAX], &[u64::MAX, u64::MAX]]), None);
    }

    #[test]
    fn limits_name_the_exact_count() {
        assert_eq!(within(Some(7), 7, "values"), Ok(7));
        assert_eq!(
            within(sum_of_products(&[&[1 << 32, 1 << 32], &[1 << 32]]), MAX_VALUES, "parameters"),
            Err("size overflow: 18,446,744,078,004,518,912 parameters exceed the limit of \
                 1,099,511,627,776"
                .to_owned())
        );
    }
}
