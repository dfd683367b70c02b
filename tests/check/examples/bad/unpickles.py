"""Parameters from the network, unpickled."""

import io
import pickle
import socket

import numpy as np
import torch


def receive(connection: socket.socket):
    data = connection.recv(1 << 20)
    state = pickle.loads(data)  # expect: SFM-521
    arrays = np.load(io.BytesIO(data), allow_pickle=True)  # expect: SFM-521
    return state, arrays, torch.load(io.BytesIO(data), weights_only=False)  # expect: SFM-521
