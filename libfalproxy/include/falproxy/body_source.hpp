// body_source.hpp: bytes that are not held in memory: who reads them in pieces, and who puts them
// away as they come.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "falproxy/codecs.hpp"
#include "falproxy/result.hpp"

namespace falproxy::inline v0 {

/// Bytes that lie in a file, say. They stay as they are. Thread-safe.
class BodySource {
 public:
  virtual ~BodySource() = default;
  /// Of all of them; never changes.
  [[nodiscard]] virtual std::uint64_t size() const noexcept = 0;
  /// Those from `from` (at most size()) on: `most`, or all that are left if they are fewer. Less
  /// than that: they cannot be read.
  [[nodiscard]] virtual std::string read(std::uint64_t from, std::size_t most) const = 0;
  /// Of all of them, FIPS 180-4.
  [[nodiscard]] virtual Digest sha256() const noexcept = 0;
};

/// A file that comes. For one thread at a time. What was put away goes with it, unless finish()
/// was called.
class Spool {
 public:
  virtual ~Spool() = default;
  /// Errors: overloaded (there is no room for more).
  [[nodiscard]] virtual Result<Done> append(std::string_view bytes) = 0;
  /// The file is whole; called once, and last. The bytes go with the last owner of the source.
  /// Errors: overloaded (the file cannot be put away).
  [[nodiscard]] virtual Result<std::shared_ptr<const BodySource>> finish() = 0;
};

/// Where such files go. Thread-safe.
class SpoolPlace {
 public:
  virtual ~SpoolPlace() = default;
  /// Null: there is no place; the file stays in memory.
  [[nodiscard]] virtual std::unique_ptr<Spool> begin() = 0;
};

}  // namespace falproxy::inline v0
