export const asset = 'asset';
export default asset;
