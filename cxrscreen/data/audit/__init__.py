"""What labelled data hold that a network could learn instead of the disease."""
