// digest.hpp: what makes two wishes the same wish.
#pragma once

#include <cstddef>

#include "falproxy/codecs.hpp"
#include "falproxy/wish.hpp"

namespace falproxy::inline v0 {

/// How many bytes its pictures have: they are what takes time.
[[nodiscard]] std::size_t bytes_in(const Wish& wish);

/// Equal for requests whose parsed fields and pictures' bytes are equal.
[[nodiscard]] Digest digest_of(const Wish& wish, const Codecs& codecs);

}  // namespace falproxy::inline v0
