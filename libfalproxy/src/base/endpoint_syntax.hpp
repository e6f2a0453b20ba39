// endpoint_syntax.hpp: what a fal endpoint id looks like; settings checks it, fal builds addresses
// from it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace falproxy::inline v0 {

/// An endpoint id in its normal form, or what is wrong with it.
struct EndpointSyntax {
  std::string id = {};         ///< empty where there is a fault
  std::size_t app_length = 0;  ///< of `[namespace/]owner/alias`, which `id` begins with
  std::string fault = {};      ///< "holds a blank": continues a sentence that names the id
};

/// Two to seven segments of letters, digits, '.', '_' and '-', none of them "." or ".."; a first
/// segment `workflows` or `comfy` is a namespace and comes before owner and alias. The legacy
/// `12345-name` becomes `12345/name`, as in fal's published client (parseEndpointId).
[[nodiscard]] EndpointSyntax read_endpoint_syntax(std::string_view text);

}  // namespace falproxy::inline v0
