// vocabulary.hpp: the words that settings share with the rooms that act on them.
#pragma once

namespace falproxy {

/// How pictures come back: OpenAI's `response_format`.
enum class ResponseFormat {
  url,      ///< an address on fal's CDN, or a data URI where the model gives that
  b64_json  ///< base64, fetched from fal's CDN where the model gives an address
};

/// Which part of a mask means "change here".
enum class MaskConvention {
  alpha,  ///< transparent: OpenAI's
  white,  ///< most of fal's models
  black,  ///< some of fal's models; white is kept
};

/// How a job's end is learned of: FAL_COMPLETION.
enum class Completion {
  stream,  ///< the queue's status/stream is held
  poll,    ///< the queue's status is asked, ever more rarely
  sync,    ///< one exchange with fal.run: no recovery, no cancel
};

}  // namespace falproxy
