// vocabulary.hpp: the words that settings share with the rooms that act on them.
#pragma once

namespace falproxy {

/// How pictures come back: OpenAI's `response_format`.
enum class ResponseFormat { url, b64_json };

/// Which part of a mask means "change here".
enum class MaskConvention {
  alpha,  ///< transparent: OpenAI's
  white,
  black,
};

/// How a job's end is learned of: FAL_COMPLETION.
enum class Completion {
  stream,  ///< the queue's status/stream is held
  poll,    ///< the queue's status is asked, ever more rarely
  sync,    ///< one exchange with fal.run: no recovery, no cancel
};

}  // namespace falproxy
