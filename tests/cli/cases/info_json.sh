"$QASR" info "$DEMO" --format json --tensors | tool keys
"$QASR" info "$DEMO" --tensors | grep -E '(conv2d2|layers.5.mlp.up_proj|lm_head).weight'
