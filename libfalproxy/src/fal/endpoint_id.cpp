#include "base/endpoint_syntax.hpp"
#include "falproxy/fal.hpp"

namespace falproxy::inline v0::fal {

Result<EndpointId> EndpointId::parse(std::string_view text) {
  EndpointSyntax syntax = read_endpoint_syntax(text);
  if (!syntax.fault.empty()) {
    return Error{ErrorKind::invalid_value, "The endpoint id '" + std::string(text.substr(0, 200)) +
                                               "' " + syntax.fault + "."};
  }
  return EndpointId(std::move(syntax.id), syntax.app_length);
}

}  // namespace falproxy::inline v0::fal
