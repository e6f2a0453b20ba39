// print.hpp: how falproxy's values and enums go to a std::ostream.
//
// Each enum has a name_of(), and prints as that name. Each value prints in one line for people, so
// that a failed assertion of any test framework shows it; the words may change, and no line holds a
// key. falproxy/format.hpp gives the same to fmt.
#pragma once

#include <concepts>
#include <iosfwd>
#include <string>
#include <string_view>
#include <type_traits>

namespace falproxy::inline v0 {

/// An enum that has a name_of().
template <class E>
concept Named = std::is_enum_v<E> && requires(E value) {
  { name_of(value) } -> std::same_as<std::string_view>;
};

/// For operator<< of enums, which knows no stream itself.
std::ostream& print_name(std::ostream& out, std::string_view name);

/// Its name.
template <Named E>
std::ostream& operator<<(std::ostream& out, E value) {
  return print_name(out, name_of(value));
}

/// A type of falproxy's own that has an operator<<; containers and pointers of such types are none.
template <class T>
concept Printed = requires(std::ostream& out, const T& value) {
  { out << value } -> std::same_as<std::ostream&>;
  printed_by_falproxy(&value);
} && !requires { typename T::element_type; };

/// Never defined: that argument-dependent lookup finds it tells a type of falproxy's. So it stands
/// behind Printed, which must not find it in any other way.
void printed_by_falproxy(const void* value);

/// What operator<< writes.
template <Printed T>
[[nodiscard]] std::string printed(const T& value);

/// For printed(), which knows no stream itself.
[[nodiscard]] std::string printed_by(const void* value,
                                     void (*print)(std::ostream& out, const void* value));

template <Printed T>
std::string printed(const T& value) {
  return printed_by(&value,
                    [](std::ostream& out, const void* one) { out << *static_cast<const T*>(one); });
}

// Argument-dependent lookup does not look into the namespace around a type's own.
namespace fal {
using falproxy::printed_by_falproxy;
using falproxy::operator<<;
}  // namespace fal
namespace media {
using falproxy::printed_by_falproxy;
using falproxy::operator<<;
}  // namespace media
namespace openai {
using falproxy::printed_by_falproxy;
using falproxy::operator<<;
}  // namespace openai
namespace profile {
using falproxy::printed_by_falproxy;
using falproxy::operator<<;
}  // namespace profile
namespace schema {
using falproxy::printed_by_falproxy;
using falproxy::operator<<;
}  // namespace schema
namespace testing {
using falproxy::printed_by_falproxy;
using falproxy::operator<<;
}  // namespace testing
namespace plan {
using falproxy::printed_by_falproxy;
using falproxy::operator<<;
}  // namespace plan

}  // namespace falproxy::inline v0
