# falproxy_precompile(target header...): parses the large headers once a target, not once a file. Every file includes what it uses all
# the same: the presets `tidy` and `fuzz` build without.
function(falproxy_precompile target)
  target_precompile_headers(${target} PRIVATE <algorithm> <chrono> <functional> <map> <memory> <optional> <span> <string>
    <string_view> <variant> <vector> ${ARGN})
endfunction()
