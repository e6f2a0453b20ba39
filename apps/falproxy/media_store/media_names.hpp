// media_names.hpp: types of files, and the ends of their names.
#pragma once

#include <string>
#include <string_view>

#include "falproxy/product.hpp"

namespace falproxy::app {

/// "image/png" of "Image/PNG; q=1"; empty: it is no type.
[[nodiscard]] std::string plain_type(std::string_view content_type);
/// As the run says, plain; empty: it does not.
[[nodiscard]] std::string type_of_product(const Product& product);
/// "png": of the address that the product gets; of at most 8 small letters and digits.
[[nodiscard]] std::string extension_of(const Product& product, std::string_view content_type);
/// By the end of a name; "application/octet-stream", if that says nothing.
[[nodiscard]] std::string type_of_name(std::string_view name);
/// A browser may run what stands in a file of this type.
[[nodiscard]] bool is_active(std::string_view content_type);
/// A browser may show it, or play it, in a page.
[[nodiscard]] bool is_shown(std::string_view content_type);

}  // namespace falproxy::app
