// key_test.hpp: whether fal takes a key, asked without a job.
#pragma once

#include <string>
#include <vector>

#include "falproxy/clock.hpp"
#include "falproxy/executor.hpp"
#include "falproxy/fal.hpp"
#include "falproxy/transport.hpp"

namespace falproxy::app {

struct KeyVerdict {
  enum class Usable { yes, no, unknown };
  Usable usable = Usable::unknown;
  std::string text = {};  ///< holds no key and none of fal's words
  std::string mend = {};
};

/// One verdict a key, in order. Each key asks for the status of a request that does not exist,
/// which fal answers with 404 where the key is good, with 401 or 403 where it is not, and which
/// costs nothing. A made-up key asks as well: where it too gets 404, the answer says nothing of the
/// others.
[[nodiscard]] std::vector<KeyVerdict> test_keys(const std::vector<std::vector<Secret>>& accounts,
                                                const fal::EndpointId& endpoint,
                                                const fal::Addresses& fal, Transport& transport,
                                                const Clock& clock, Executor& executor);

}  // namespace falproxy::app
